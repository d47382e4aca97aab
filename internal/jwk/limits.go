// SPDX-License-Identifier: Apache-2.0

package jwk

const (
	// MaxKey bounds one key in bytes. An RSA key of MaxRSABits has about 1.5 KiB; a certificate chain may travel with it.
	MaxKey = 32 << 10
	// MaxSet bounds a JWKS document in bytes.
	MaxSet = 256 << 10
	// MaxKeys bounds the keys of a set.
	MaxKeys = 64
	// MinRSABits and MaxRSABits bound an RSA modulus: shorter ones are breakable, longer ones only cost time.
	MinRSABits = 2048
	MaxRSABits = 8192
	maxKid     = 128
	// minExponent and maxExponent bound an RSA public exponent (FIPS 186-5 wants more than 2¹⁶).
	minExponent = 1<<16 + 1
	maxExponent = 1<<31 - 1
)
