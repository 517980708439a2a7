// What goes wrong on request: settings of the device, counted as they strike.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

namespace hscloop {

enum class Fault { none, overflow, underflow, timeout, error, vanish };
constexpr size_t FAULTS = 6;

const std::array<const char*, FAULTS>& fault_names();

// Faults of one device, for both of its streams.
class Faults
{
public:
    // Each so many seconds one of that kind strikes; 0: never. `vanish` strikes once.
    std::array<std::atomic<double>, FAULTS> every{};
    std::array<std::atomic<uint64_t>, FAULTS> counted{}; // what the device told its user, injected or not
    std::atomic<uint64_t> lost{0};                       // samples that an overflow has cost
    std::atomic<uint64_t> clipped{0};                    // samples beyond full scale, either direction
    std::atomic<long> longest_transfer{0};               // samples that one call moves at most; 0: no limit
    std::atomic<bool> vanished{false};

    // One fault at the next call of a stream that knows it. Throws std::runtime_error for an unknown name.
    void strike(const std::string& name);

    // A stream begins to run.
    void arm(std::array<int64_t, FAULTS>& due) const;

    // The fault that is due now, among those that this direction knows.
    Fault next(bool receiving, std::array<int64_t, FAULTS>& due);

    void count(Fault fault) { counted[static_cast<size_t>(fault)]++; }

private:
    std::atomic<int> struck_{0};
};

} // namespace hscloop
