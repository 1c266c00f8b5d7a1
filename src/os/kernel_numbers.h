#pragma once

#include <cstddef>
#include <cstdint>

// Numbers that the headers of Debian 12 (glibc 2.36, liburing 2.3, linux-libc-dev 6.1) may lack, each with the kernel
// that introduced it. Whether the running kernel has it is found out by trying.

namespace weir::os::kernel {

inline constexpr unsigned kRecvsendBundle = 1U << 4;         // 6.10, IORING_RECVSEND_BUNDLE
inline constexpr unsigned kFeatureBundle = 1U << 14;         // 6.10, IORING_FEAT_RECVSEND_BUNDLE
inline constexpr std::size_t kBufferRingFlags = 14;          // 6.4, offset of io_uring_buf_reg.flags, `pad` before
inline constexpr std::uint16_t kBufferRingIncremental = 2U;  // 6.12, IOU_PBUF_RING_INC
inline constexpr unsigned kCqeBufferMore = 1U << 4;          // 6.12, IORING_CQE_F_BUF_MORE

inline constexpr int kMadvPopulateWrite = 23;        // 5.14, MADV_POPULATE_WRITE
inline constexpr unsigned kMfdNoexecSeal = 0x0008U;  // 6.3, MFD_NOEXEC_SEAL
inline constexpr int kSealFutureWrite = 0x0010;      // 5.1, F_SEAL_FUTURE_WRITE
inline constexpr unsigned kMapHugeShift = 26;        // 3.8, MAP_HUGE_SHIFT
inline constexpr unsigned kHuge2MiB = 21U << kMapHugeShift;
inline constexpr unsigned kHuge1GiB = 30U << kMapHugeShift;

}  // namespace weir::os::kernel
