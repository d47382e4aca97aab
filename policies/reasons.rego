# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Reasons
# description: |
#   One reason for each condition that is not met. A reason cites the owner's terms and the caller's own request only.
package glovebox.release

import data.glovebox.shape

reasons contains reason("input", "the request is incomplete", "send every field of the request") if not shape.ok

reasons contains reason("mode", msg, sat) if {
	not mode_ok
	msg := sprintf("privacy mode %v is not allowed", [got(["job", "mode"])])
	sat := sprintf("ask for one of %v; this release enforces %v", [got(["terms", "modes"]), enforced_modes])
}

reasons contains reason("purpose", msg, sat) if {
	not purpose_ok
	msg := sprintf("purpose %v is not allowed", [got(["job", "purpose"])])
	sat := sprintf("state one of %v", [got(["terms", "purposes"])])
}

reasons contains reason("outputs", msg, sat) if {
	not outputs_ok
	msg := sprintf("output classes %v are not all allowed", [got(["job", "outputs"])])
	sat := sprintf("declare only %v", [got(["terms", "outputs"])])
}

reasons contains reason("output-bytes", msg, sat) if {
	not output_bytes_ok
	msg := sprintf("%v bytes of output are more than allowed", [got(["job", "outputBytes"])])
	sat := sprintf("limit outputs to %v bytes", [got(["terms", "maxOutputBytes"])])
}

reasons contains reason("epochs", msg, sat) if {
	not epochs_ok
	msg := sprintf("%v epochs are more than allowed", [got(["job", "epochs"])])
	sat := sprintf("ask for at most %v", [got(["terms", "maxEpochs"])])
}

reasons contains reason("runtime", msg, sat) if {
	not runtime_ok
	msg := sprintf("runtime %v was asked for, %v attested", [got(["job", "runtime"]), got(["evidence", "runtime"])])
	sat := sprintf("use one of %v", [enforced_runtimes])
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

reasons contains reason("buyer", "the code's owner did not sign this job", "sign the job with the buyer key of the code's owner") if {
	not buyer_ok
}

reasons contains reason("revoked", msg, "ask the owner why; a revocation is not undone") if {
	not not_revoked
	what := {k | some k in ["buyer", "job", "manifest"]; got(["revoked", k]) != false}
	msg := sprintf("revoked by the owner: %v", [concat(", ", sort(what))])
}

reasons contains reason("cancelled", "the buyer cancelled this job", "submit a new job") if not not_cancelled

reason(rule, message, satisfy) := {"rule": rule, "message": message, "satisfy": satisfy}

# got reads a value for a message only; a missing one reads "(missing)".
got(path) := object.get(input, path, "(missing)")
