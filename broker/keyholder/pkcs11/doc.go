// SPDX-License-Identifier: Apache-2.0

// Package pkcs11 is a keyholder whose keys never leave a PKCS#11 token: a hardware security module, or softhsm2 in tests.
// It is there with the build tag pkcs11 and with cgo, because a token is a C library.
//
// Trust domain: the owner's side; only glovebox-broker links it. Its one job: AES keys that can be used and not read.
package pkcs11
