// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
)

// chipName is the Hopper generation, as certificates and manifests call it.
const chipName = "GH100"

var (
	oidDICE   = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1}            // TCG DICE: composite device ID
	oidSAN    = asn1.ObjectIdentifier{2, 5, 29, 17}                   // subject alternative name
	oidDevice = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 412, 274, 1}  // DMTF: SPDM device information
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2} // the hash of the FWID
)

// identity is what a leaf says of the device and its firmware.
type identity struct {
	fwid   []byte
	device []byte // SubjectPublicKeyInfo of the device's key
	chip   string // "GH100"
	name   string // "NVIDIA:GH100:" and the device's number
}

// compositeDeviceID is the extension's form in Hopper's leaves (RIoT).
type compositeDeviceID struct {
	Version int
	Device  asn1.RawValue
	FWID    struct {
		Hash  asn1.ObjectIdentifier
		Value []byte
	}
}

func readIdentity(c *x509.Certificate) (*identity, error) {
	dice, err := extension(c, oidDICE)
	if err != nil {
		return nil, err
	}
	var x compositeDeviceID
	if rest, err := asn1.Unmarshal(dice, &x); err != nil || len(rest) != 0 || x.Version != 1 || !x.FWID.Hash.Equal(oidSHA384) {
		return nil, fmt.Errorf("%w: the leaf's DICE extension is not Hopper's", ErrGeneration)
	}
	id := &identity{fwid: x.FWID.Value, device: x.Device.FullBytes}
	if id.name, err = deviceName(c); err != nil {
		return nil, err
	}
	if parts := strings.Split(id.name, ":"); len(parts) == 3 && parts[0] == "NVIDIA" {
		id.chip = parts[1]
	}
	return id, nil
}

// extension is the value of the only extension of that type.
func extension(c *x509.Certificate, oid asn1.ObjectIdentifier) ([]byte, error) {
	var found []pkix.Extension
	for _, x := range c.Extensions {
		if x.Id.Equal(oid) {
			found = append(found, x)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: %d extensions %s in the leaf, want 1", ErrGeneration, len(found), oid)
	}
	return found[0].Value, nil
}

// deviceName is the one name in the leaf, of the form that DMTF gave SPDM devices.
func deviceName(c *x509.Certificate) (string, error) {
	san, err := extension(c, oidSAN)
	if err != nil {
		return "", err
	}
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(san, &names); err != nil || len(rest) != 0 || len(names) != 1 {
		return "", fmt.Errorf("%w: want one name in the leaf", ErrGeneration)
	}
	var other struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}
	if rest, err := asn1.UnmarshalWithParams(names[0].FullBytes, &other, "tag:0"); err != nil || len(rest) != 0 || !other.Type.Equal(oidDevice) {
		return "", fmt.Errorf("%w: the leaf does not name an SPDM device", ErrGeneration)
	}
	return other.Value, nil
}

// serial is a certificate's serial number, lower-case hex, whole bytes. NVIDIA writes the chip's number there.
func serial(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber.Bytes()) }
