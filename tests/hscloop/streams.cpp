// SPDX-License-Identifier: GPL-3.0-or-later
#include "streams.hpp"

#include <SoapySDR/Errors.h>
#include <SoapySDR/Logger.hpp>
#include <algorithm>
#include <cmath>
#include <unistd.h>

namespace hscloop {

namespace {

constexpr double INJECTED_LOSS = 0.01;     // what an overflow on request costs [s]
constexpr double ERROR_TIME = 0.01;        // a failing transfer takes its time, as one over USB does [s]
constexpr double ASSUMED_POWER = 0.04;     // of a transmitter that has not sent yet: for the noise that a receiver hears without one
constexpr float INT16_SCALE = 32767.0f;
constexpr float ADC_STEPS = 2048.0f;       // 12 bit
constexpr double POWER_MEMORY = 1 << 16;   // samples
constexpr size_t GAUSSIANS = 1 << 16;

double amplitude(double db) { return std::pow(10.0, db / 20); }

// Anything that is not a number becomes full scale, too.
float saturate(float x) { return x < 1.0f ? (x > -1.0f ? x : -1.0f) : 1.0f; }

bool beyond(float x) { return !(std::abs(x) <= 1.0f); }

int code_of(Fault fault)
{
    switch (fault) {
    case Fault::overflow:
        return SOAPY_SDR_OVERFLOW;
    case Fault::underflow:
        return SOAPY_SDR_UNDERFLOW;
    case Fault::timeout:
        return SOAPY_SDR_TIMEOUT;
    default:
        return SOAPY_SDR_STREAM_ERROR;
    }
}

} // namespace

size_t Stream::transfer(size_t count) const
{
    const long limit = faults_.longest_transfer;
    return std::min({count, MTU, limit > 0 ? static_cast<size_t>(limit) : MTU});
}

// ---- transmitter

Transmitter::Transmitter(
    const Air& air, const Front& front, const Crystal& crystal, const Path& path, Faults& faults, bool int16)
    : Stream(air, front, crystal, path, faults, int16), owner_((static_cast<uint64_t>(getpid()) << 40) ^ static_cast<uint64_t>(now_ns()))
{
}

Transmitter::~Transmitter() = default; // what was written is still played, as by a DAC with a buffer

void Transmitter::activate()
{
    faults_.arm(due_);
    active_ = true;
    bursting_ = ousted_ = false;
    rate_ = crystal_.rate(front_);
    written_ = 0;
    begin_timeline(air_, owner_, rate_);
    epoch_ns_ = air_->epoch_ns;
    follow_settings();
}

double Transmitter::dac_position() const { return static_cast<double>(now_ns() - epoch_ns_) * 1e-9 * rate_; }

void Transmitter::follow_settings()
{
    if (air_->owner != owner_ && !ousted_) {
        ousted_ = true;
        SoapySDR::log(SOAPY_SDR_WARNING, "hscloop: another transmitter has come on the air; this one is not heard any more");
    }
    if (ousted_)
        return;
    air_->carrier = crystal_.carrier(front_);
    air_->gain_db = front_.gain.load();
}

void Transmitter::silence(int64_t until)
{
    const uint64_t end = static_cast<uint64_t>(until);
    const uint64_t first = std::max(written_, end > RING ? end - RING : 0);
    for (uint64_t index = first; !ousted_ && index < end; index++)
        air_->ring[index % RING] = Sample(0, 0);
    written_ = end;
}

void Transmitter::put(const void* samples, size_t count)
{
    double energy = 0.0;
    size_t sounding = 0, clipped = 0;
    for (size_t k = 0; k < count; k++) {
        float re, im;
        if (int16) {
            re = static_cast<const int16_t*>(samples)[2 * k] / INT16_SCALE;
            im = static_cast<const int16_t*>(samples)[2 * k + 1] / INT16_SCALE;
        } else {
            re = static_cast<const float*>(samples)[2 * k];
            im = static_cast<const float*>(samples)[2 * k + 1];
            clipped += beyond(re) || beyond(im);
        }
        const Sample sample(saturate(re), saturate(im));
        energy += std::norm(sample);
        sounding += sample != Sample(0, 0);
        if (!ousted_)
            air_->ring[(written_ + k) % RING] = sample;
    }
    faults_.clipped += clipped;
    written_ += count;
    if (ousted_)
        return;
    if (sounding) {
        const double before = air_->power, mean = energy / static_cast<double>(sounding);
        const double weight = before > 0 ? static_cast<double>(sounding) / (static_cast<double>(sounding) + POWER_MEMORY) : 1.0;
        air_->power = before + weight * (mean - before);
    }
    air_->written.store(written_, std::memory_order_release);
}

int Transmitter::write(const void* samples, size_t count, bool last, double timeout)
{
    if (!active_)
        return SOAPY_SDR_STREAM_ERROR;
    const Fault fault = faults_.next(false, due_);
    if (faults_.vanished || fault == Fault::error) {
        sleep_seconds(ERROR_TIME);
        return SOAPY_SDR_STREAM_ERROR;
    }
    if (fault == Fault::timeout)
        sleep_seconds(timeout);
    if (fault != Fault::none)
        return code_of(fault);
    if (rate_ != crystal_.rate(front_))
        activate();
    follow_settings();
    const double depth = buffer_samples(path_.buffer, rate_, 0.25);
    if (static_cast<double>(written_) < dac_position()) {
        silence(static_cast<int64_t>(dac_position() + depth / 2));
        if (bursting_) {
            bursting_ = false;
            faults_.count(Fault::underflow);
            return SOAPY_SDR_UNDERFLOW;
        }
    }
    const size_t wanted = transfer(count);
    double space = dac_position() + depth - static_cast<double>(written_);
    if (space < static_cast<double>(wanted)) {
        sleep_seconds(std::min(timeout, (static_cast<double>(wanted) - space) / rate_ + 1e-4));
        space = dac_position() + depth - static_cast<double>(written_);
    }
    if (space < 1) {
        faults_.count(Fault::timeout);
        return SOAPY_SDR_TIMEOUT;
    }
    const size_t taken = std::min(wanted, static_cast<size_t>(space));
    put(samples, taken);
    bursting_ = !(last && taken == count);
    return static_cast<int>(taken);
}

// ---- receiver

Receiver::Receiver(const Air& air, const Front& front, const Crystal& crystal, const Path& path, Faults& faults, bool int16)
    : Stream(air, front, crystal, path, faults, int16), heard_(MTU), gaussian_(GAUSSIANS)
{
    std::normal_distribution<float> normal(0.0f, std::sqrt(0.5f));
    for (float& value : gaussian_)
        value = normal(random_);
}

void Receiver::activate()
{
    faults_.arm(due_);
    active_ = true;
    rate_ = crystal_.rate(front_);
    start_ns_ = now_ns();
    position_ = 0;
}

double Receiver::adc_position() const { return static_cast<double>(now_ns() - start_ns_) * 1e-9 * rate_; }

void Receiver::skip(int64_t count)
{
    position_ += count;
    faults_.lost += static_cast<uint64_t>(count);
}

int Receiver::read(void* samples, size_t count, double timeout, long long& time_ns)
{
    if (!active_)
        return SOAPY_SDR_STREAM_ERROR;
    const Fault fault = faults_.next(true, due_);
    if (faults_.vanished || fault == Fault::error) {
        sleep_seconds(ERROR_TIME);
        return SOAPY_SDR_STREAM_ERROR;
    }
    if (fault == Fault::timeout)
        sleep_seconds(timeout);
    if (fault == Fault::overflow)
        skip(static_cast<int64_t>(INJECTED_LOSS * rate_));
    if (fault != Fault::none)
        return code_of(fault);
    if (rate_ != crystal_.rate(front_))
        activate();
    const double behind = adc_position() - static_cast<double>(position_);
    if (behind > buffer_samples(2 * path_.buffer, rate_, 0.5)) {
        skip(static_cast<int64_t>(behind));
        faults_.count(Fault::overflow);
        return SOAPY_SDR_OVERFLOW;
    }
    const size_t wanted = transfer(count);
    double there = behind;
    if (there < static_cast<double>(wanted)) {
        sleep_seconds(std::min(timeout, (static_cast<double>(wanted) - there) / rate_ + 1e-5));
        there = adc_position() - static_cast<double>(position_);
    }
    if (there < 1) {
        faults_.count(Fault::timeout);
        return SOAPY_SDR_TIMEOUT;
    }
    const size_t given = std::min(wanted, static_cast<size_t>(there));
    time_ns = start_ns_ + static_cast<long long>(static_cast<double>(position_) / rate_ * 1e9);
    receive(given);
    digitise(samples, given);
    position_ += static_cast<int64_t>(given);
    return static_cast<int>(given);
}

void Receiver::receive(size_t count)
{
    Timeline before, after;
    const bool on_air = read_timeline(air_, before);
    if (on_air)
        hear(before, count);
    // Another transmitter came while we read: what was read is of both.
    if (!on_air || !read_timeline(air_, after) || after.sequence != before.sequence)
        std::fill_n(heard_.begin(), count, Sample(0, 0));
    add_noise(count);
}

void Receiver::hear(const Timeline& timeline, size_t count)
{
    const double offset = air_->carrier - crystal_.carrier(front_);
    const double step = timeline.rate / rate_;
    if (std::abs(offset) > (timeline.rate + rate_) / 2 || step > MAX_STEP || step < 1 / MAX_STEP) {
        std::fill_n(heard_.begin(), count, Sample(0, 0));
        return;
    }
    const double seconds = static_cast<double>(start_ns_ - timeline.epoch_ns) * 1e-9 + static_cast<double>(position_) / rate_;
    const double position = seconds * timeline.rate;
    interpolator_.set_step(step);
    const int64_t reach = static_cast<int64_t>(interpolator_.reach());
    const int64_t first = static_cast<int64_t>(std::floor(position)) - reach;
    const size_t needed = static_cast<size_t>(static_cast<double>(count) * step) + 2 * static_cast<size_t>(reach) + 4;
    copy_through_echoes(first, needed);
    float* out = reinterpret_cast<float*>(heard_.data());
    const double at = position - static_cast<double>(first);
    interpolator_.run(real_.data(), at, step, count, out, 2);
    interpolator_.run(imaginary_.data(), at, step, count, out + 1, 2);
    const double turn = 2 * M_PI * offset / rate_;
    const std::complex<double> increment = std::polar(1.0, turn);
    std::complex<double> rotor = std::polar(amplitude(air_->gain_db - path_.loss + front_.gain), phase_);
    for (size_t k = 0; k < count; k++, rotor *= increment)
        heard_[k] *= Sample(rotor);
    phase_ = std::remainder(phase_ + turn * static_cast<double>(count), 2 * M_PI);
}

void Receiver::copy_through_echoes(int64_t first, size_t count)
{
    const size_t before = path_.echoes.back().delay;
    sent_.resize(before + count);
    copy_samples(air_, first - static_cast<int64_t>(before), sent_.size(), sent_.data());
    real_.assign(count, 0.0f);
    imaginary_.assign(count, 0.0f);
    for (const Echo& echo : path_.echoes)
        for (size_t k = 0; k < count; k++) {
            const Sample part = echo.factor * sent_[before - echo.delay + k];
            real_[k] += part.real();
            imaginary_[k] += part.imag();
        }
}

void Receiver::add_noise(size_t count)
{
    if (path_.snr >= 200)
        return;
    const double power = air_->power > 0 ? air_->power.load() : ASSUMED_POWER;
    const double transmit_gain = air_->rate > 0 ? air_->gain_db.load() : 30.0;
    const float sigma = static_cast<float>(std::sqrt(power) * amplitude(transmit_gain - path_.loss + front_.gain - path_.snr));
    for (size_t k = 0; k < count; k++) {
        const uint64_t word = random_();
        heard_[k] += sigma * Sample(gaussian_[word % GAUSSIANS], gaussian_[(word >> 32) % GAUSSIANS]);
    }
}

void Receiver::digitise(void* samples, size_t count)
{
    size_t clipped = 0;
    for (size_t k = 0; k < count; k++) {
        const Sample heard = heard_[k];
        clipped += beyond(heard.real()) || beyond(heard.imag());
        const float re = std::nearbyint(saturate(heard.real()) * ADC_STEPS) / ADC_STEPS;
        const float im = std::nearbyint(saturate(heard.imag()) * ADC_STEPS) / ADC_STEPS;
        if (int16) {
            static_cast<int16_t*>(samples)[2 * k] = static_cast<int16_t>(re * INT16_SCALE);
            static_cast<int16_t*>(samples)[2 * k + 1] = static_cast<int16_t>(im * INT16_SCALE);
        } else {
            static_cast<Sample*>(samples)[k] = Sample(re, im);
        }
    }
    faults_.clipped += clipped;
}

} // namespace hscloop
