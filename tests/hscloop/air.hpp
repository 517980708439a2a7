// The air between two radios: a ring of transmitted samples in POSIX shared memory, laid out on the transmitter's clock.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <atomic>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <string>

namespace hscloop {

using Sample = std::complex<float>;

constexpr uint64_t RING = 1u << 21;    // samples; 1 s at 2 MS/s
constexpr double MAX_RATE = 5e6;       // [samples/s]
constexpr double MIN_RATE = 1e4;

inline double buffer_samples(double seconds, double rate, double share)
{
    const double limit = static_cast<double>(RING) * share;
    return seconds * rate < limit ? seconds * rate : limit;
}

int64_t now_ns();
void sleep_seconds(double seconds);

// What lies in shared memory. All zeros is a valid state, "nobody transmits", so that nobody has to set it up, and a process that was
// killed leaves nothing that its successor could not take over.
struct Shared {
    std::atomic<uint64_t> sequence;  // odd while the three fields below change
    std::atomic<int64_t> epoch_ns;   // when the DAC played sample 0
    std::atomic<double> rate;        // true rate of the DAC [samples/s]; 0: nobody has transmitted
    std::atomic<uint64_t> owner;     // whose samples these are; the last transmitter to come takes the air over
    std::atomic<double> carrier;     // true carrier frequency [Hz]
    std::atomic<double> gain_db;
    std::atomic<double> power;       // mean square of the samples that were not zero
    std::atomic<uint64_t> written;   // samples before this one are in the ring, as far as it reaches back
    Sample ring[RING];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<double>::is_always_lock_free);

// Maps the air of a name. Throws std::runtime_error when the name or the shared memory is not usable.
class Air
{
public:
    explicit Air(const std::string& name);
    ~Air();
    Air(const Air&) = delete;
    Air& operator=(const Air&) = delete;
    Shared* operator->() const { return shared_; }

private:
    Shared* shared_;
};

// The transmitter's clock, read in one piece.
struct Timeline {
    uint64_t sequence = 0;
    int64_t epoch_ns = 0;
    double rate = 0.0;
};

// Takes the air over for a transmitter that starts now.
void begin_timeline(const Air& air, uint64_t owner, double rate);

// False when nobody has transmitted yet, or just now somebody takes the air over.
bool read_timeline(const Air& air, Timeline& timeline);

// Copies `count` samples from index `first` on, zeros for those that were never sent or are too old.
void copy_samples(const Air& air, int64_t first, size_t count, Sample* samples);

} // namespace hscloop
