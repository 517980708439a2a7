// The two streams of a device: a DAC that plays into the air and an ADC that listens to it, each by its own clock.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "air.hpp"
#include "faults.hpp"
#include "interpolator.hpp"

#include <array>
#include <random>
#include <vector>

namespace hscloop {

constexpr size_t MTU = 8192; // samples of the longest transfer

// One direction of a device as its user has set it, and what its crystal makes of it.
struct Front {
    std::atomic<double> frequency{100e6}; // [Hz]
    std::atomic<double> rate{1e6};        // [samples/s]
    std::atomic<double> bandwidth{0.0};   // [Hz]; kept, without effect
    std::atomic<double> gain{30.0};       // [dB]
    std::atomic<double> correction{0.0};  // [ppm]
    std::atomic<int> antenna{0};
};

struct Crystal {
    std::atomic<double> ppm{0.0}; // its error: sample clock and carrier
    std::atomic<double> cfo{0.0}; // of the carrier in addition [Hz]

    double factor(const Front& front) const { return 1 + (ppm - front.correction) * 1e-6; }
    double rate(const Front& front) const { return front.rate * factor(front); }
    double carrier(const Front& front) const { return front.frequency * factor(front) + cfo; }
};

struct Echo {
    size_t delay;                // samples of the transmitter
    std::complex<float> factor;  // of the steady path too, which has delay 0
};

struct Path {
    std::atomic<double> buffer{0.25}; // a transmitter may be so far ahead of its DAC, and a receiver twice as far behind its ADC [s]
    std::atomic<double> loss{66.0};  // [dB]: with both gains at 30 dB samples arrive at half their size
    std::atomic<double> snr{1000.0}; // mean power of the transmitted samples that are not zero, over that of the noise [dB]
    std::vector<Echo> echoes{{0, {1.0f, 0.0f}}}; // fixed before a stream is made
};

class Stream
{
public:
    Stream(const Air& air, const Front& front, const Crystal& crystal, const Path& path, Faults& faults, bool int16)
        : int16(int16), air_(air), front_(front), crystal_(crystal), path_(path), faults_(faults)
    {
    }
    virtual ~Stream() = default;
    virtual void activate() = 0;
    void deactivate() { active_ = false; }

    const bool int16; // CS16, else CF32

protected:
    const Air& air_;
    const Front& front_;
    const Crystal& crystal_;
    const Path& path_;
    Faults& faults_;
    bool active_ = false;
    std::array<int64_t, FAULTS> due_{};

    // Samples that one call may move, of those asked for.
    size_t transfer(size_t count) const;
};

class Transmitter : public Stream
{
public:
    Transmitter(const Air& air, const Front& front, const Crystal& crystal, const Path& path, Faults& faults, bool int16);
    ~Transmitter() override;
    void activate() override;
    // Samples taken, or one of SoapySDR's error codes.
    int write(const void* samples, size_t count, bool last, double timeout);

private:
    double dac_position() const;
    void silence(int64_t until);
    void put(const void* samples, size_t count);
    void follow_settings();

    const uint64_t owner_;
    bool bursting_ = false, ousted_ = false;
    int64_t epoch_ns_ = 0;
    double rate_ = 0.0;
    uint64_t written_ = 0;
};

class Receiver : public Stream
{
public:
    Receiver(const Air& air, const Front& front, const Crystal& crystal, const Path& path, Faults& faults, bool int16);
    void activate() override;
    // Samples given, or one of SoapySDR's error codes. `time_ns`: of the first sample.
    int read(void* samples, size_t count, double timeout, long long& time_ns);

private:
    double adc_position() const;
    void skip(int64_t count);
    void receive(size_t count);
    void hear(const Timeline& timeline, size_t count);
    void copy_through_echoes(int64_t first, size_t count);
    void add_noise(size_t count);
    void digitise(void* samples, size_t count);

    int64_t start_ns_ = 0;
    int64_t position_ = 0; // next sample
    double rate_ = 0.0, phase_ = 0.0;
    Interpolator interpolator_;
    std::vector<float> real_, imaginary_;
    std::vector<Sample> sent_;
    std::vector<Sample> heard_;
    std::vector<float> gaussian_;
    std::mt19937_64 random_{std::random_device{}()};
};

} // namespace hscloop
