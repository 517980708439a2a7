// SPDX-License-Identifier: GPL-3.0-or-later
#include "air.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <new>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hscloop {

int64_t now_ns()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

void sleep_seconds(double seconds)
{
    if (seconds <= 0)
        return;
    timespec t;
    t.tv_sec = static_cast<time_t>(seconds);
    t.tv_nsec = static_cast<long>((seconds - static_cast<double>(t.tv_sec)) * 1e9);
    nanosleep(&t, nullptr);
}

Air::Air(const std::string& name)
{
    const bool good = !name.empty() && name.size() <= 40 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_';
    });
    if (!good)
        throw std::runtime_error("hscloop: name=" + name + ": give 1 to 40 letters, digits, - or _");
    const std::string path = "/hscloop-1-" + name; // 1: version of the layout
    const int file = shm_open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        throw std::runtime_error("hscloop: shared memory " + path + ": " + std::strerror(errno));
    void* memory = MAP_FAILED;
    if (ftruncate(file, sizeof(Shared)) == 0)
        memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    const int error = errno;
    close(file);
    if (memory == MAP_FAILED)
        throw std::runtime_error("hscloop: shared memory " + path + ": " + std::strerror(error));
    shared_ = static_cast<Shared*>(memory);
}

Air::~Air() { munmap(shared_, sizeof(Shared)); }

void begin_timeline(const Air& air, uint64_t owner, double rate)
{
    const uint64_t sequence = air->sequence.load() | 1; // whoever was here before may have been killed at an odd number
    air->sequence.store(sequence);
    air->owner.store(owner);
    air->epoch_ns.store(now_ns());
    air->rate.store(rate);
    air->power.store(0.0);
    air->written.store(0);
    air->sequence.store(sequence + 1);
}

bool read_timeline(const Air& air, Timeline& timeline)
{
    timeline.sequence = air->sequence.load();
    timeline.epoch_ns = air->epoch_ns.load();
    timeline.rate = air->rate.load();
    return timeline.sequence % 2 == 0 && timeline.rate > 0 && air->sequence.load() == timeline.sequence;
}

void copy_samples(const Air& air, int64_t first, size_t count, Sample* samples)
{
    const int64_t end = static_cast<int64_t>(air->written.load(std::memory_order_acquire));
    const int64_t oldest = std::max<int64_t>(0, end - static_cast<int64_t>(RING));
    for (size_t k = 0; k < count; k++) {
        const int64_t index = first + static_cast<int64_t>(k);
        const bool there = index >= oldest && index < end;
        samples[k] = there ? air->ring[static_cast<uint64_t>(index) % RING] : Sample(0, 0);
    }
}

} // namespace hscloop
