// Fractional resampling: a Kaiser-windowed sinc, tabulated finely and interpolated between its tabulated phases.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <vector>

namespace hscloop {

constexpr double MAX_STEP = 16.0;

class Interpolator
{
public:
    // Prepares for `step` input samples for each output sample, 1 / MAX_STEP to MAX_STEP; passes 0.8 of the narrower of both bands.
    void set_step(double step);

    // Input samples that the sums reach to before and after a position.
    size_t reach() const { return taps_ / 2; }

    // outputs[k] = input at position + k * step, where index 0 of the input is position 0. Needs input from position - reach to the
    // last position + reach.
    void run(const float* input, double position, double step, size_t count, float* output, size_t stride) const;

private:
    size_t taps_ = 0;
    double built_for_ = 0.0;
    std::vector<float> table_; // (phases + 1) x taps
};

} // namespace hscloop
