// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_VERSION_H
#define ITERA_VERSION_H

namespace itera {

/// The version of the compiler, as the artefacts carry it.
inline constexpr const char *kVersion = "0.1.0";

} // namespace itera

#endif // ITERA_VERSION_H
