# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Reasons
# description: |
#   One reason for each condition that is not met. A reason cites the owner's terms, the caller's own request and what
#   the caller's own jobs have spent; never what others did. Keys and digests that the terms list are not repeated.
package glovebox.release

import data.glovebox.egress
import data.glovebox.entitlement
import data.glovebox.licence
import data.glovebox.privacy

reasons contains reason("package", "the job does not name this package", "submit a job that names the package's manifest as what it is") if {
	not package_ok
}

reasons contains reason("mode", msg, sat) if {
	not mode_ok
	msg := sprintf("privacy mode %v is not allowed", [got(["job", "mode"])])
	sat := sprintf("ask for one of %v; this release enforces %v", [got(["terms", "modes"]), enforced_modes])
}

reasons contains reason("steps", msg, "ask the owner for a version of the package with steps for the mode, and none for raw-in-tee") if {
	not steps_ok
	mode_ok
	msg := sprintf("privacy mode %v does not have the steps that it rests on", [got(["job", "mode"])])
}

reasons contains reason("purpose", msg, sat) if {
	not purpose_ok
	msg := sprintf("purpose %v is not allowed", [got(["job", "purpose"])])
	sat := sprintf("state one of %v", [got(["terms", "purposes"])])
}

reasons contains reason("outputs", msg, sat) if {
	not egress.outputs_ok
	msg := sprintf("output classes %v are not all allowed", [got(["job", "outputs"])])
	sat := sprintf("declare only %v", [got(["terms", "outputs"])])
}

reasons contains reason("output-bytes", msg, sat) if {
	not egress.output_bytes_ok
	msg := sprintf("%v bytes of output are more than allowed", [got(["job", "outputBytes"])])
	sat := sprintf("limit outputs to %v bytes", [got(["terms", "maxOutputBytes"])])
}

reasons contains reason("training-only", msg, sat) if {
	not egress.training_only_ok
	msg := sprintf("the licence is for training only, and the job declares %v", [got(["job", "outputs"])])
	sat := sprintf("declare outputs of class %v only", [egress.training_outputs])
}

reasons contains reason("epochs", msg, sat) if {
	not epochs_ok
	msg := sprintf("%v epochs are more than allowed", [got(["job", "epochs"])])
	sat := sprintf("ask for at most %v", [got(["terms", "maxEpochs"])])
	not privacy.enclave_adds_noise
}

reasons contains reason("epochs", msg, "ask for one") if {
	not epochs_ok
	msg := sprintf("%v epochs, and the mode reads the data once", [got(["job", "epochs"])])
	privacy.enclave_adds_noise
}

runtime_words := sprintf("runtime %v is not allowed", [input.job.runtime]) if input.job.runtime == input.evidence.runtime

runtime_words := sprintf("runtime %v was asked for, %v attested", [got(["job", "runtime"]), got(["evidence", "runtime"])]) if {
	not input.job.runtime == input.evidence.runtime
}

reasons contains reason("runtime", msg, sat) if {
	not runtime_ok
	msg := runtime_words
	sat := sprintf("use one of %v", [enforced_runtimes])
	not privacy.enclave_adds_noise
}

# Which runtime a mode runs in that is not allowed is beside the point.
reasons contains reason("runtime", msg, sat) if {
	mode_ok
	not runtime_ok
	msg := runtime_words
	sat := sprintf("use one of %v, of those that the mode has: %v", [got(["terms", "private", "runtimes"]), private_runtimes[input.job.mode]])
}

reasons contains reason("assurance", msg, sat) if {
	not assurance_ok
	msg := sprintf("assurance %v is too weak", [got(["evidence", "assurance"])])
	sat := sprintf("run on a platform of assurance %v or better; below tpm only packages packed as tests are released", [got(["terms", "minAssurance"])])
}

reasons contains reason("uses", msg, "ask the owner for a version of the package with more uses") if {
	not uses_ok
	msg := sprintf("all %v uses are taken", [got(["terms", "maxUses"])])
}

reasons contains reason("buyer-uses", msg, "ask the owner for a version of the package with more uses for each buyer") if {
	not buyer_uses_ok
	msg := sprintf("this buyer has used the package in %v jobs, and one buyer may in %v", [got(["account", "buyerUses"]), got(["terms", "buyers", "maxUses"])])
}

reasons contains reason("cost", msg, sat) if {
	not cost_ok
	msg := sprintf("this package may cost %v, and %v of the job's spend cap %v is reserved already", [got(["account", "cost"]), got(["account", "reserved"]), got(["job", "spendCap"])])
	sat := "raise the job's spend cap or ask for fewer epochs"
}

reasons contains reason("terms-expired", msg, "ask the owner for a current version of the package") if {
	not terms_current
	msg := sprintf("the terms ended at %v", [got(["terms", "notAfter"])])
}

reasons contains reason("job-expired", msg, "submit a new job with a later expiry") if {
	not job_current
	msg := sprintf("the job ended at %v", [got(["job", "notAfter"])])
}

reasons contains reason("version", msg, "submit a job that names the package's current manifest") if {
	not version_current
	msg := sprintf("version %v of the package was replaced by version %v", [got(["package", "version"]), got(["package", "latest"])])
}

reasons contains reason("buyer", "the terms do not admit this buyer", "ask the owner for a version of the package that admits your key") if {
	not buyer_ok
	not input.package.kind == "code"
}

reasons contains reason("buyer", "the code's owner did not sign this job", "sign the job with the buyer key of the code's owner") if {
	not buyer_ok
	input.package.kind == "code"
}

reasons contains reason("code", "the terms do not admit this code", sat) if {
	not code_ok
	sat := "run a code package that the terms name, by its manifest or by its owner"
}

reasons contains reason("revoked", msg, "ask the owner why; a revocation is not undone") if {
	not not_revoked
	what := {k | some k in ["buyer", "code", "dataset", "grant", "job", "manifest", "permit"]; got(["revoked", k]) != false}
	msg := sprintf("revoked by the owner: %v", [concat(", ", sort(what))])
}

reasons contains reason("cancelled", "the buyer cancelled this job", "submit a new job") if not not_cancelled

reasons contains reason("commercial", "the licence does not allow commercial use", "state a use that is not commercial") if {
	not licence.commercial_ok
}

reasons contains reason("derivatives", "the licence does not allow derivatives", "state a use that does not change or pass on the results") if {
	not licence.derivatives_ok
}

reasons contains reason("prohibited", msg, sat) if {
	not licence.prohibited_ok
	msg := sprintf("the licence prohibits purpose %v", [got(["job", "purpose"])])
	sat := sprintf("state a purpose other than %v", [got(["terms", "licence", "prohibited"])])
}

reasons contains reason("territory", msg, sat) if {
	not licence.territory_ok
	msg := sprintf("the licence does not cover use in %v", [got(["job", "territory"])])
	sat := sprintf("use the results in %v, by the ISO 3166-1 code of the country", [got(["terms", "licence", "territories"])])
}

reasons contains reason("consent", msg, "ask the owner whether contributors agree to the purpose") if {
	not privacy.consent_ok
	msg := sprintf("consent was not checked for purpose %v", [got(["job", "purpose"])])
}

reasons contains reason("leaves", "no record is left that may be released to this job", sat) if {
	not privacy.leaves_ok
	sat := "ask the owner which purposes contributors agree to, or bring an entitlement to other records"
}

# What a mode would cost that is not allowed is beside the point.
reasons contains reason("epsilon", msg, "ask for less, or ask the owner for a larger budget") if {
	mode_ok
	not privacy.epsilon_ok
	msg := sprintf("all jobs together would come to ε %v, and %v is allowed; this job is ε %v", [
		micro(["account", "epsilonAfter"]), micro(["terms", "privacy", "epsilon"]), micro(["account", "epsilon"]),
	])
}

reasons contains reason("buyer-epsilon", msg, "ask for less, or ask the owner for a larger budget for each buyer") if {
	mode_ok
	not privacy.buyer_epsilon_ok
	msg := sprintf("all jobs of this buyer together would come to ε %v, and %v is allowed; this job is ε %v", [
		micro(["account", "buyerEpsilonAfter"]), micro(["terms", "privacy", "buyerEpsilon"]), micro(["account", "epsilon"]),
	])
}

reasons contains reason("account-delta", msg, "ask the owner for a version of the package whose account has a smaller delta") if {
	mode_ok
	not privacy.account_delta_ok
	msg := sprintf("the account holds at a δ of %v, which is not below one in %v %vs", [
		pico(["terms", "privacy", "delta"]), got(["granted", "units"]), got(["terms", "privacy", "unit"]),
	])
}

reasons contains reason("privacy-declared", msg, sat) if {
	not privacy.declared_ok
	msg := sprintf("in mode %v a job says what it spends, and elsewhere it does not", [privacy.private])
	sat := "declare privacy in the job exactly if its mode is one of these"
}

reasons contains reason("privacy-epsilon", msg, sat) if {
	held
	not privacy.job_epsilon_ok
	msg := sprintf("the job would spend ε %v, and one job may spend %v", [micro(["job", "privacy", "epsilon"]), micro(["terms", "private", "epsilon"])])
	sat := "add noise, take fewer steps, or sample less"
}

reasons contains reason("privacy-attempts", msg, sat) if {
	held
	privacy.job_epsilon_ok
	not privacy.attempts_ok
	msg := sprintf("the attempts of this job would come to ε %v with this one, and one job may spend %v, its attempts together", [
		micro(["account", "jobEpsilonAfter"]), micro(["terms", "private", "epsilon"]),
	])
	sat := "submit a new job, which the account counts as one more; to leave room for a second attempt, ask for less than half of that, or ask the owner for a version of the package that allows one job more"
}

reasons contains reason("privacy-bound", msg, sat) if {
	held
	privacy.job_epsilon_ok
	not privacy.bound_ok
	msg := sprintf("the mechanisms come to %v, and the job states ε %v", [bound, micro(["job", "privacy", "epsilon"])])
	sat := "state what glovebox creator privacy epsilon computes for the mechanisms, or more"
}

bound := sprintf("ε %v", [micro(["job", "privacy", "computed"])]) if input.job.privacy.bounded == true

bound := "no bound on ε" if not input.job.privacy.bounded == true

reasons contains reason("privacy-delta", msg, sat) if {
	held
	not privacy.delta_ok
	msg := sprintf("a δ of %v is too much", [pico(["job", "privacy", "delta"])])
	sat := sprintf("ask for a δ of at most %v, and less than one in %v records", [pico(["terms", "private", "delta"]), got(["granted", "records"])])
}

reasons contains reason("privacy-units", msg, "choose more data, or bring an entitlement to more of it") if {
	held
	not privacy.units_ok
	msg := sprintf("what would be released is of %v %v, and each is to be hidden among others", [got(["granted", "together"]), got(["terms", "privacy", "unit"])])
}

reasons contains reason("privacy-unit", msg, sat) if {
	held
	not privacy.unit_ok
	msg := sprintf("the job counts by unit %v and adjacency %v", [got(["job", "privacy", "unit"]), got(["job", "privacy", "adjacency"])])
	sat := sprintf("declare unit %v and adjacency %v", [got(["terms", "privacy", "unit"]), got(["terms", "privacy", "adjacency"])])
}

reasons contains reason("privacy-contributions", msg, sat) if {
	held
	not privacy.contributions_ok
	msg := sprintf("%v records of one contributor are more than count", [got(["job", "privacy", "contributions"])])
	sat := sprintf("declare contributions of at most %v", [got(["terms", "private", "contributions"])])
}

reasons contains reason("privacy-shards", msg, sat) if {
	held
	not privacy.shards_ok
	msg := sprintf("%v shards are not what the terms ask for", [got(["job", "privacy", "shards"])])
	sat := sprintf("cut the data into at least %v shards in mode sample-aggregate, and into none in others", [got(["terms", "private", "shards"])])
}

# Of a declaration that is missing nothing more is said, and none of what a mode asks for that is not allowed.
held if {
	mode_ok
	privacy.declared_ok
}

# Of an entitlement that is missing or of the wrong kind nothing more is said.
reasons contains reason("entitlement", msg, sat) if {
	not entitlement.ok
	not entitlement.kind_ok
	not open_data
	msg := sprintf("access is by %v, and the buyer brought %v", [got(["terms", "access"]), got(["entitlement", "kind"])])
	sat := "bring a licence receipt or a permit, as the terms say, for this package, buyer and code"
}

reasons contains reason("entitlement-uses", msg, sat) if {
	entitlement.kind_ok
	not entitlement.left_ok
	msg := sprintf("the %v is used up", [input.entitlement.kind])
	sat := sprintf("bring another %v", [input.entitlement.kind])
}

reasons contains reason("entitlement-expired", msg, sat) if {
	entitlement.kind_ok
	not entitlement.current
	msg := sprintf("the %v ended at %v", [input.entitlement.kind, got(["entitlement", "notAfter"])])
	sat := sprintf("bring a current %v", [input.entitlement.kind])
}

reasons contains reason("operation", msg, sat) if {
	entitlement.kind_ok
	not entitlement.operation_ok
	msg := sprintf("the %v is for %v", [input.entitlement.kind, got(["entitlement", "operations"])])
	sat := sprintf("bring one for %v", [got(["job", "operation"])])
}

reasons contains reason("entitlement-code", msg, "run the code that it names, or bring another one") if {
	entitlement.kind_ok
	not entitlement.code_ok
	msg := sprintf("the %v is for other code", [input.entitlement.kind])
}

reasons contains reason("entitlement-buyer", msg, "bring one that names the buyer who signed the job") if {
	entitlement.kind_ok
	not entitlement.buyer_ok
	msg := sprintf("the %v is for another buyer", [input.entitlement.kind])
}

reasons contains reason("entitlement-epochs", msg, sat) if {
	entitlement.kind_ok
	not entitlement.epochs_ok
	msg := sprintf("%v epochs are more than the %v allows", [got(["job", "epochs"]), input.entitlement.kind])
	sat := sprintf("ask for at most %v", [got(["entitlement", "epochs"])])
}

reasons contains reason("paid", msg, sat) if {
	entitlement.kind_ok
	not entitlement.paid_ok
	msg := sprintf("the receipt says that %v %v were paid", [got(["entitlement", "paid"]), got(["entitlement", "currency"])])
	sat := sprintf("pay %v %v at least", [got(["terms", "minPaid"]), got(["terms", "currency"])])
}

reasons contains reason("price", msg, sat) if {
	entitlement.kind_ok
	not entitlement.price_ok
	msg := sprintf("the job would cost %v", [got(["account", "cost"])])
	sat := sprintf("submit a job that costs %v at least, as the %v asks", [got(["entitlement", "minPrice"]), input.entitlement.kind])
}

reasons contains reason("attributes", msg, sat) if {
	attributes_missing
	msg := "the buyer is not known to be what the terms require"
	sat := sprintf("bring a receipt that states %v", [got(["terms", "buyers", "require"])])
}

attributes_missing if {
	entitlement.kind_ok
	not entitlement.attributes_ok
}

# Attributes come with an entitlement, so terms that ask for them and for none admit nobody.
attributes_missing if {
	open_data
	not entitlement.ok
}

open_data if {
	input.package.kind == "dataset"
	input.terms.access == "open"
}

reason(rule, message, satisfy) := {"rule": rule, "message": message, "satisfy": satisfy}

# got reads a value for a message only; a missing one reads "(missing)".
got(path) := object.get(input, path, "(missing)")

# micro reads millionths for a message, as the number that they are.
micro(path) := out if {
	is_number(got(path))
	out := got(path) / 1000000
} else := "(missing)"

# pico reads 10⁻¹² for a message.
pico(path) := out if {
	is_number(got(path))
	out := got(path) / 1000000000000
} else := "(missing)"
