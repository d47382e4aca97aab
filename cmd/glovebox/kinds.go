// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/s3store"
	"github.com/glovebox-dev/glovebox/internal/tlog"
	"github.com/glovebox-dev/glovebox/transforms"
)

type sentinel struct {
	target error
	kind   Kind
	hint   string
}

// sentinels sort the errors of the packages. The first that matches counts, so the narrow ones come first.
func sentinels() []sentinel {
	return append(sourceSentinels(), []sentinel{
		{dataset.ErrMissing, KindUsage, "check the path"},
		{dataset.ErrEmpty, KindUsage, "give a file with at least one record after the header, or a directory with at least one file"},
		{dataset.ErrDelta, KindUsage, "use a privacy.delta of less than one in that many; a tenth of that is usual"},
		{dataset.ErrRagged, KindError, "every row needs as many fields as the header; correct the row named"},
		{dataset.ErrHeader, KindUsage, "versions keep their columns: give SOURCE the header of --previous, or leave --previous out to make a dataset of its own"},
		{dataset.ErrFileName, KindError, "rename it, or leave it out: paths are UTF-8 of at most 4096 bytes, without backslashes, control characters and invisible ones (U+202E)"},
		{dataset.ErrNotRegular, KindUsage, "copy what it points to into the folder, or leave it out"},
		{dataset.ErrPacking, KindTryAgain, "wait until it ends, or give another --name"},
		{dataset.ErrCSV, KindError, "check the quotes of the row named; fields with commas or newlines need them"},
		{dataset.ErrJSONLine, KindError, "every line must be one JSON value"},
		{dataset.ErrSparse, KindError, "check how the file was made; if the zeros are meant, copy it with: cp --sparse=never"},
		{dataset.ErrNotText, KindError, "pack it as a file: --format files"},
		{dataset.ErrRecordSize, KindError, "pack large records as files: --format files"},
		{dataset.ErrFull, KindTryAgain, "make room on the disk; nothing half-written is left"},
		{s3store.ErrConfig, KindUsage, "credentials are taken from the environment or a credentials file, never from an address"},
		{s3store.ErrCredentials, KindTryAgain, "give fresh ones in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN or a credentials file, check the clock, and run it again"},
		{s3store.ErrBucket, KindUsage, "make the bucket first, or correct its name"},
		{s3store.ErrRefused, KindError, "check region, credentials and endpoint"},
		{s3store.ErrUnavailable, KindTryAgain, "see that the server runs and can be reached, then run it again"},
		{dataset.ErrMode, KindUsage, "docs/terms.md has the privacy modes, and which this release enforces"},
		{dataset.ErrIntegrity, KindVerify, "the data is not what its owner signed"},
		{dataset.ErrManifest, KindUsage, "see docs/spec/manifest.md"},
		{usage.ErrRefused, KindVerify, "do not rely on this bundle"},
		{usage.ErrResult, KindVerify, "do not open this file"},
		{usage.ErrTrust, KindUsage, "see docs/spec/trust.md"},
		{tlog.ErrLog, KindVerify, "the log does not prove what is claimed"},
		{client.ErrChanged, KindVerify, "the blob changed on disk or on the way; pack and publish again"},
		{simulated.ErrRefused, KindDenied, "build with -tags simulated for a demonstration"},
		{attestation.ErrReference, KindError, "sign reference values with: glovebox creator trust MEASUREMENT"},
		{keyholder.ErrUnavailable, KindTryAgain, "see that the keyholder runs, is unsealed and can be reached, then try again"},
		{keyholder.ErrAuth, KindError, "give the right passphrase, PIN or credential; nothing is lost"},
		{keyholder.ErrUnwrap, KindVerify, "the keyholder in broker.json is not the one that wrapped it, or that version was shredded"},
		{keyholder.ErrInput, KindError, "see docs/spec/keyholder.md"},
		{config.ErrExists, KindUsage, "choose another directory"},
		{config.ErrPackage, KindVerify, "restore it from your copy of the directory, unless it is another owner's; without a dataset's newest version the one before counts"},
		{config.ErrSigned, KindError, "restore the file named from your copy of the directory; take a name that leads nowhere out of its folder"},
		{config.ErrConfig, KindError, "correct broker.json; init writes one that works in a new directory"},
		{endorsements.ErrConfig, KindUsage, "services are given as https://HOST, and directories must be writable"},
		{endorsements.ErrNeeds, KindUsage, "see: glovebox operator endorsements fetch --help"},
		{endorsements.ErrContent, KindVerify, "something between here and the vendor answers in its place: check proxies, --pccs and this machine's clock"},
		{endorsements.ErrUnknown, KindError, "the evidence may be of a test machine, or of one too new for this service"},
		{endorsements.ErrOffline, KindTryAgain, "run it without --offline where the vendors can be reached, then take the cache along: --cache DIR"},
		{endorsements.ErrUnavailable, KindTryAgain, "try again later, or fetch where there is a route to the vendors and take the cache along: --cache DIR --offline"},
		{swtpm.ErrStart, KindError, "stop the other operator, or give another --dir; what swtpm says is in its directory"},
		{envelope.ErrKeyMode, KindError, "make it private: chmod 600"},
		{envelope.ErrRole, KindError, "use the key that was made for this"},
		{envelope.ErrIntegrity, KindVerify, "somebody altered it, or it was signed by another key"},
		{envelope.ErrTooLarge, KindError, "this is more than the format allows"},
		{envelope.ErrMalformed, KindError, "it is not in the format that docs/spec describes"},
		{transforms.ErrRecord, KindError, "correct the record named, or say with --format what the file is"},
		{transforms.ErrConfig, KindUsage, "correct the step; docs/transforms.md says what each takes"},
		{fs.ErrPermission, KindError, "check who owns it"},
	}...)
}
