// SPDX-License-Identifier: Apache-2.0

package envelope

// nonBlocking has no meaning where there are no named pipes.
const nonBlocking = 0
