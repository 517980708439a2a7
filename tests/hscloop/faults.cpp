// SPDX-License-Identifier: GPL-3.0-or-later
#include "faults.hpp"

#include "air.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace hscloop {

namespace {

constexpr int64_t NEVER = std::numeric_limits<int64_t>::max();

bool known(Fault fault, bool receiving) { return fault != (receiving ? Fault::underflow : Fault::overflow); }

} // namespace

const std::array<const char*, FAULTS>& fault_names()
{
    static const std::array<const char*, FAULTS> names = {"none", "overflow", "underflow", "timeout", "error", "vanish"};
    return names;
}

void Faults::strike(const std::string& name)
{
    const auto& names = fault_names();
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
        throw std::runtime_error("hscloop: fault=" + name + ": give overflow, underflow, timeout, error, vanish or none");
    if (*found == names[0])
        vanished = false;
    struck_ = static_cast<int>(found - names.begin());
}

void Faults::arm(std::array<int64_t, FAULTS>& due) const
{
    for (size_t kind = 0; kind < FAULTS; kind++)
        due[kind] = every[kind] > 0 ? now_ns() + static_cast<int64_t>(every[kind] * 1e9) : NEVER;
}

Fault Faults::next(bool receiving, std::array<int64_t, FAULTS>& due)
{
    Fault fault = static_cast<Fault>(struck_.load());
    if (fault != Fault::none && known(fault, receiving)) {
        struck_ = 0;
    } else {
        fault = Fault::none;
        for (size_t kind = 1; kind < FAULTS && fault == Fault::none; kind++)
            if (due[kind] <= now_ns() && known(static_cast<Fault>(kind), receiving)) {
                fault = static_cast<Fault>(kind);
                due[kind] = fault == Fault::vanish ? NEVER : now_ns() + static_cast<int64_t>(every[kind] * 1e9);
            }
    }
    if (fault == Fault::vanish)
        vanished = true;
    if (fault != Fault::none)
        count(fault);
    return fault;
}

} // namespace hscloop
