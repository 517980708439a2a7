// SoapySDR driver "hscloop": what one device transmits, every device of the same name receives, in this process or another one.
//
// By hand: cmake -S tests/hscloop -B build/hscloop && cmake --build build/hscloop; export SOAPY_SDR_PLUGIN_PATH=$PWD/build/hscloop
//
// Device arguments, all of them settings that may change later as well:
//   name=NAME           which air (default "default"); serial=TEXT tells two devices of one process apart
//   ppm=, cfo=          error of the device's crystal [ppm] (sample clock and carrier), and of its carrier in addition [Hz]
//   snr=, loss=         of what it receives [dB]: mean transmitted power over noise power; attenuation (default 66)
//   echoes=D:G/D:G/…    delay [samples of the transmitter] and gain [dB] of each, turned by a quarter against the one before; the sum of
//                       powers stays 1. An argument only
//   buffer=             seconds that transmitted samples may wait for the DAC, and half of what received ones may wait for their reader
//   overflow_every=, underflow_every=, timeout_every=, error_every=    such a fault each so many seconds
//   vanish_every=       the device is gone after so many seconds: every call fails from then on
//   short_reads=        samples that one transfer moves at most
//   fault=KIND          one fault now: overflow, underflow, timeout, error, vanish; none brings a vanished device back
// Settings to read: overflow, underflow, timeout, error (told to the user, injected or not), lost, clipped (samples).
//
// SPDX-License-Identifier: GPL-3.0-or-later
#include "streams.hpp"

#include <SoapySDR/Device.hpp>
#include <SoapySDR/Formats.h>
#include <SoapySDR/Registry.hpp>
#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace hscloop {

namespace {

const std::string DRIVER = "hscloop";
const SoapySDR::Range GAINS(0, 60, 1), FREQUENCIES(1e6, 6e9), RATES(MIN_RATE, MAX_RATE), BANDWIDTHS(MIN_RATE, MAX_RATE);
const std::vector<std::string> RX_ANTENNAS = {"RX", "TX/RX"}, TX_ANTENNAS = {"TX/RX"};

std::string argument(const SoapySDR::Kwargs& args, const std::string& key, const std::string& otherwise)
{
    const auto found = args.find(key);
    return found == args.end() ? otherwise : found->second;
}

double number(const std::string& key, const std::string& text)
{
    size_t used = 0;
    double value = 0.0;
    try {
        value = std::stod(text, &used);
    } catch (const std::exception&) {
        used = 0;
    }
    if (used == 0 || used != text.size())
        throw std::runtime_error("hscloop: " + key + "=" + text + " is not a number");
    return value;
}

// Throws for what is not of the form 3:-6/7:-10.5, delays growing from 1 to 1000.
std::vector<Echo> echoes_of(const std::string& text)
{
    std::vector<Echo> echoes = {{0, {1.0f, 0.0f}}};
    std::complex<float> turn(0.0f, 1.0f);
    double power = 1.0;
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('/', begin), text.size()), colon = std::min(text.find(':', begin), end);
        const double delay = number("echoes", text.substr(begin, colon - begin));
        const double gain = number("echoes", text.substr(std::min(colon + 1, end), end - std::min(colon + 1, end)));
        if (!(delay > static_cast<double>(echoes.back().delay) && delay <= 1000) || !(gain <= 60 && gain >= -200))
            throw std::runtime_error("hscloop: echoes=" + text + ": give delay:gain/delay:gain, such as 3:-6/7:-10");
        echoes.push_back({static_cast<size_t>(delay), turn * static_cast<float>(std::pow(10.0, gain / 20))});
        power += std::norm(echoes.back().factor);
        turn *= std::complex<float>(0.0f, 1.0f);
        begin = end + 1;
    }
    for (Echo& echo : echoes)
        echo.factor /= static_cast<float>(std::sqrt(power));
    return echoes;
}

double within(const std::string& what, double value, const SoapySDR::Range& range)
{
    if (!(value >= range.minimum() && value <= range.maximum()))
        throw std::runtime_error("hscloop: " + what + " " + std::to_string(value) + ": give " + std::to_string(range.minimum()) + " to " +
                                 std::to_string(range.maximum()));
    return value;
}

class Device : public SoapySDR::Device
{
public:
    explicit Device(const SoapySDR::Kwargs& args) : air_(argument(args, "name", "default")), serial_(argument(args, "serial", "0"))
    {
        path_.echoes = echoes_of(argument(args, "echoes", ""));
        const std::vector<std::string> identity = {"driver", "name", "serial", "label", "echoes"};
        for (const auto& [key, value] : args)
            if (std::find(identity.begin(), identity.end(), key) == identity.end())
                writeSetting(key, value);
    }

    std::string getDriverKey() const override { return DRIVER; }
    std::string getHardwareKey() const override { return DRIVER; }
    SoapySDR::Kwargs getHardwareInfo() const override { return {{"serial", serial_}}; }
    size_t getNumChannels(const int) const override { return 1; }
    bool getFullDuplex(const int, const size_t) const override { return true; }

    // ---- streams

    std::vector<std::string> getStreamFormats(const int, const size_t) const override { return {SOAPY_SDR_CF32, SOAPY_SDR_CS16}; }

    std::string getNativeStreamFormat(const int, const size_t, double& full_scale) const override
    {
        full_scale = 1.0;
        return SOAPY_SDR_CF32;
    }

    SoapySDR::Stream* setupStream(const int direction,
                                  const std::string& format,
                                  const std::vector<size_t>& channels,
                                  const SoapySDR::Kwargs&) override
    {
        must_be_there();
        if (format != SOAPY_SDR_CF32 && format != SOAPY_SDR_CS16)
            throw std::runtime_error("hscloop: format " + format + ": give CF32 or CS16");
        if (channels.size() > 1 || (channels.size() == 1 && channels[0] != 0))
            throw std::runtime_error("hscloop: there is channel 0 only");
        const bool int16 = format == SOAPY_SDR_CS16;
        Stream* stream = nullptr;
        if (direction == SOAPY_SDR_TX)
            stream = new Transmitter(air_, fronts_[SOAPY_SDR_TX], crystal_, path_, faults_, int16);
        else
            stream = new Receiver(air_, fronts_[SOAPY_SDR_RX], crystal_, path_, faults_, int16);
        return reinterpret_cast<SoapySDR::Stream*>(stream);
    }

    void closeStream(SoapySDR::Stream* stream) override { delete reinterpret_cast<Stream*>(stream); }
    size_t getStreamMTU(SoapySDR::Stream*) const override { return MTU; }

    int activateStream(SoapySDR::Stream* stream, const int, const long long, const size_t) override
    {
        if (faults_.vanished)
            return SOAPY_SDR_STREAM_ERROR;
        reinterpret_cast<Stream*>(stream)->activate();
        return 0;
    }

    int deactivateStream(SoapySDR::Stream* stream, const int, const long long) override
    {
        reinterpret_cast<Stream*>(stream)->deactivate();
        return 0;
    }

    int readStream(SoapySDR::Stream* stream, void* const* buffers, const size_t count, int& flags, long long& time_ns, const long timeout_us) override
    {
        auto* receiver = dynamic_cast<Receiver*>(reinterpret_cast<Stream*>(stream));
        if (!receiver)
            return SOAPY_SDR_NOT_SUPPORTED;
        flags = SOAPY_SDR_HAS_TIME;
        return receiver->read(buffers[0], count, static_cast<double>(timeout_us) * 1e-6, time_ns);
    }

    int writeStream(SoapySDR::Stream* stream, const void* const* buffers, const size_t count, int& flags, const long long, const long timeout_us) override
    {
        auto* transmitter = dynamic_cast<Transmitter*>(reinterpret_cast<Stream*>(stream));
        if (!transmitter)
            return SOAPY_SDR_NOT_SUPPORTED;
        return transmitter->write(buffers[0], count, flags & SOAPY_SDR_END_BURST, static_cast<double>(timeout_us) * 1e-6);
    }

    // ---- front ends

    std::vector<std::string> listAntennas(const int direction, const size_t) const override
    {
        return direction == SOAPY_SDR_TX ? TX_ANTENNAS : RX_ANTENNAS;
    }

    void setAntenna(const int direction, const size_t channel, const std::string& name) override
    {
        must_be_there();
        const auto names = listAntennas(direction, channel);
        const auto found = std::find(names.begin(), names.end(), name);
        if (found == names.end())
            throw std::runtime_error("hscloop: no antenna " + name);
        front(direction).antenna = static_cast<int>(found - names.begin());
    }

    std::string getAntenna(const int direction, const size_t channel) const override
    {
        return listAntennas(direction, channel)[static_cast<size_t>(front(direction).antenna.load())];
    }

    bool hasFrequencyCorrection(const int, const size_t) const override { return true; }

    void setFrequencyCorrection(const int direction, const size_t, const double value) override
    {
        must_be_there();
        front(direction).correction = within("frequency correction", value, SoapySDR::Range(-200, 200));
    }

    double getFrequencyCorrection(const int direction, const size_t) const override { return front(direction).correction; }
    std::vector<std::string> listGains(const int, const size_t) const override { return {"PGA"}; }

    void setGain(const int direction, const size_t, const std::string&, const double value) override
    {
        must_be_there();
        front(direction).gain = std::clamp(value, GAINS.minimum(), GAINS.maximum());
    }

    double getGain(const int direction, const size_t, const std::string&) const override { return front(direction).gain; }
    SoapySDR::Range getGainRange(const int, const size_t, const std::string&) const override { return GAINS; }
    std::vector<std::string> listFrequencies(const int, const size_t) const override { return {"RF"}; }

    void setFrequency(const int direction, const size_t, const std::string&, const double frequency, const SoapySDR::Kwargs&) override
    {
        must_be_there();
        front(direction).frequency = within("frequency", frequency, FREQUENCIES);
    }

    double getFrequency(const int direction, const size_t, const std::string&) const override { return front(direction).frequency; }

    SoapySDR::RangeList getFrequencyRange(const int, const size_t, const std::string&) const override { return {FREQUENCIES}; }

    void setSampleRate(const int direction, const size_t, const double rate) override
    {
        must_be_there();
        front(direction).rate = within("sample rate", rate, RATES);
    }

    double getSampleRate(const int direction, const size_t) const override { return front(direction).rate; }
    SoapySDR::RangeList getSampleRateRange(const int, const size_t) const override { return {RATES}; }

    void setBandwidth(const int direction, const size_t, const double bandwidth) override
    {
        must_be_there();
        front(direction).bandwidth = bandwidth;
    }

    double getBandwidth(const int direction, const size_t) const override { return front(direction).bandwidth; }
    SoapySDR::RangeList getBandwidthRange(const int, const size_t) const override { return {BANDWIDTHS}; }
    bool hasHardwareTime(const std::string& what) const override { return what.empty(); }
    long long getHardwareTime(const std::string&) const override { return now_ns(); }

    // ---- settings

    SoapySDR::ArgInfoList getSettingInfo() const override
    {
        using Info = SoapySDR::ArgInfo;
        SoapySDR::ArgInfoList infos;
        const auto add = [&](const std::string& key, Info::Type type) {
            infos.emplace_back();
            infos.back().key = infos.back().name = key;
            infos.back().type = type;
            infos.back().value = readSetting(key); // gr-soapy 3.10.5 hands this to Python as what it has read
        };
        for (const char* key : {"ppm", "cfo", "snr", "loss", "buffer", "short_reads"})
            add(key, Info::FLOAT);
        add("fault", Info::STRING);
        for (size_t kind = 1; kind < FAULTS; kind++) {
            add(std::string(fault_names()[kind]) + "_every", Info::FLOAT);
            add(fault_names()[kind], Info::INT);
        }
        add("lost", Info::INT);
        add("clipped", Info::INT);
        return infos;
    }

    void writeSetting(const std::string& key, const std::string& value) override
    {
        if (key == "fault")
            faults_.strike(value);
        else if (key == "short_reads")
            faults_.longest_transfer = static_cast<long>(number(key, value));
        else if (key == "ppm")
            crystal_.ppm = within(key, number(key, value), SoapySDR::Range(-1000, 1000));
        else if (key == "cfo")
            crystal_.cfo = number(key, value);
        else if (key == "snr")
            path_.snr = number(key, value);
        else if (key == "loss")
            path_.loss = number(key, value);
        else if (key == "buffer")
            path_.buffer = within(key, number(key, value), SoapySDR::Range(0.01, 60));
        else
            faults_.every[fault_of(key, "_every")] = number(key, value);
    }

    std::string readSetting(const std::string& key) const override
    {
        if (key == "ppm")
            return std::to_string(crystal_.ppm);
        if (key == "cfo")
            return std::to_string(crystal_.cfo);
        if (key == "snr")
            return std::to_string(path_.snr);
        if (key == "loss")
            return std::to_string(path_.loss);
        if (key == "buffer")
            return std::to_string(path_.buffer);
        if (key == "short_reads")
            return std::to_string(faults_.longest_transfer);
        if (key == "fault")
            return fault_names()[faults_.vanished ? static_cast<size_t>(Fault::vanish) : 0];
        if (key == "lost")
            return std::to_string(faults_.lost);
        if (key == "clipped")
            return std::to_string(faults_.clipped);
        if (key.size() > 6 && key.compare(key.size() - 6, 6, "_every") == 0)
            return std::to_string(faults_.every[fault_of(key, "_every")]);
        return std::to_string(faults_.counted[fault_of(key, "")]);
    }

private:
    static size_t fault_of(const std::string& key, const std::string& suffix)
    {
        for (size_t kind = 1; kind < FAULTS; kind++)
            if (key == fault_names()[kind] + suffix)
                return kind;
        throw std::runtime_error("hscloop: there is no argument or setting '" + key + "'");
    }

    void must_be_there() const
    {
        if (faults_.vanished)
            throw std::runtime_error("hscloop: the device is gone");
    }

    Front& front(int direction) { return fronts_[direction == SOAPY_SDR_TX ? SOAPY_SDR_TX : SOAPY_SDR_RX]; }
    const Front& front(int direction) const { return fronts_[direction == SOAPY_SDR_TX ? SOAPY_SDR_TX : SOAPY_SDR_RX]; }

    const Air air_;
    const std::string serial_;
    std::array<Front, 2> fronts_; // by SOAPY_SDR_TX = 0, SOAPY_SDR_RX = 1
    Crystal crystal_;
    Path path_;
    Faults faults_;
};

SoapySDR::KwargsList find(const SoapySDR::Kwargs& args)
{
    const std::string name = argument(args, "name", "default"), serial = argument(args, "serial", "0");
    return {{{"driver", DRIVER}, {"name", name}, {"serial", serial}, {"label", "HSC loop " + name + " " + serial}}};
}

SoapySDR::Device* make(const SoapySDR::Kwargs& args) { return new Device(args); }

const SoapySDR::Registry registration(DRIVER, &find, &make, SOAPY_SDR_ABI_VERSION);

} // namespace

} // namespace hscloop
