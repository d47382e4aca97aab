// SPDX-License-Identifier: Apache-2.0

package span

// Types that more than one package speaks of. National identifiers have theirs in package national.
const (
	Email        Type = "EMAIL_ADDRESS"
	URL          Type = "URL"
	Domain       Type = "DOMAIN_NAME"
	IP           Type = "IP_ADDRESS"
	MAC          Type = "MAC_ADDRESS"
	Phone        Type = "PHONE_NUMBER"
	CreditCard   Type = "CREDIT_CARD"
	IBAN         Type = "IBAN_CODE"
	BIC          Type = "SWIFT_CODE"
	Crypto       Type = "CRYPTO"
	Date         Type = "DATE_TIME"
	Age          Type = "AGE"
	GPS          Type = "GPS"
	Person       Type = "PERSON"
	Location     Type = "LOCATION"
	Organisation Type = "ORGANIZATION"
	Address      Type = "ADDRESS"
	Username     Type = "USERNAME"
	Password     Type = "PASSWORD"
	CVV          Type = "CVV"
	Medical      Type = "MEDICAL_RECORD_NUMBER"
	IDNumber     Type = "ID_NUMBER"
	Custom       Type = "CUSTOM"
)
