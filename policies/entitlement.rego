# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Entitlement
# description: |
#   What the buyer brings where the terms ask for a receipt or a permit. Go has verified who issued it and for what; the
#   rules decide whether it covers this job. Code is released to its owner and takes none.
package glovebox.entitlement

default ok := false

ok if {
	input.package.kind == "code"
	input.terms.access == "open"
}

ok if {
	input.package.kind == "dataset"
	input.terms.access == "open"
	input.terms.buyers.require == []
}

ok if {
	input.package.kind == "dataset"
	kind_ok
	left_ok
	current
	operation_ok
	code_ok
	buyer_ok
	epochs_ok
	paid_ok
	price_ok
	attributes_ok
}

# required holds where an entitlement must be there.
default required := false

required if {
	input.package.kind == "dataset"
	input.terms.access in {"permit", "receipt"}
}

default kind_ok := false

kind_ok if {
	required
	input.entitlement.kind == input.terms.access
}

default left_ok := false

left_ok if input.entitlement.left >= 1

default current := false

current if input.now < input.entitlement.notAfter * 1000

default operation_ok := false

operation_ok if input.job.operation in input.entitlement.operations

default code_ok := false

code_ok if input.entitlement.code == "*"

code_ok if {
	input.job.code != ""
	input.entitlement.code == input.job.code
}

default buyer_ok := false

buyer_ok if input.entitlement.buyer == "*"

buyer_ok if {
	input.job.buyer != ""
	input.entitlement.buyer == input.job.buyer
}

default epochs_ok := false

epochs_ok if {
	input.job.epochs >= 1
	input.job.epochs <= input.entitlement.epochs
}

# What was paid counts in the currency of the terms only. A permit is not paid for; the job is.
default paid_ok := false

paid_ok if {
	input.entitlement.kind == "receipt"
	input.entitlement.currency == input.terms.currency
	input.entitlement.paid >= input.terms.minPaid
}

paid_ok if input.entitlement.kind == "permit"

default price_ok := false

price_ok if input.account.cost >= input.entitlement.minPrice

# Every required attribute is stated of the buyer with one of its values.
default attributes_ok := false

attributes_ok if {
	is_array(input.terms.buyers.require)
	every r in input.terms.buyers.require {
		some value in input.entitlement.attributes[r.name]
		value in r.anyOf
	}
}
