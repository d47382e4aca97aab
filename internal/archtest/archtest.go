// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules about who may import whom, and nothing else: its tests read the import graph of the
// module and of each binary, and fail on a forbidden path.
//
// Trust domain: none, it is never linked. Its one job: keep the trusted computing base as small as docs/tcb.md says.
package archtest

// Module is the path of this module.
const Module = "github.com/glovebox-dev/glovebox"

// MaxEnclavePackages bounds the third-party packages that the measured binary may reach.
const MaxEnclavePackages = 80

// A Rule says that nothing under From may reach any package under Never, directly or not.
type Rule struct {
	From  string
	Never []string
	Why   string
}

// Paths under the module begin with "./"; every path covers the packages below it.
var (
	policy  = []string{"github.com/open-policy-agent", "github.com/hashicorp/vault"}
	state   = []string{"modernc.org/sqlite", "database/sql"}
	network = []string{"net/http", "connectrpc.com", "crypto/tls"}

	// What reads outside formats: an enclave reads text and tar, and learns no other.
	foreign = []string{"./internal/source", "github.com/apache/arrow-go"}

	// A platform's verifier is apart from its collector: it brings what the enclave must not have.
	verifiers = []string{
		"./attestation/verifiers", "./attestation/endorsements", "./attestation/certs", "./attestation/dcap", "./attestation/azure/verify",
		"./attestation/gce/verify", "./attestation/gpu/chain", "./attestation/gpu/rim", "./attestation/gpu/verify", "./attestation/nitro/verify", "./attestation/oidc/verify",
		"./attestation/sgx/verify", "./attestation/snp/verify", "./attestation/tdx/verify", "./attestation/tpm/verify",
	}
)

// Rules are the forbidden paths of the module's packages, tests left out.
func Rules() []Rule {
	return []Rule{
		{
			"./enclave", join(network, policy, state, verifiers, foreign, []string{"./host", "./broker", "./policies", "./attestation/tpm/swtpm", "github.com/transparency-dev/tessera"}),
			"the enclave is measured: no network stack, no policy engine, no database, no verifiers, and nothing of host or broker",
		},
		{
			"./cmd/glovebox-enclave", join(network, policy, state, verifiers, foreign, []string{"./host", "./broker", "./policies", "./attestation/tpm/swtpm", "github.com/transparency-dev/tessera"}),
			"the measured binary",
		},
		{
			"./host", join(policy, foreign, []string{"./enclave", "./broker", "./policies"}),
			"the host is trusted with nothing: it shares formats with the others, never code that decides",
		},
		{"./cmd/glovebox-host", join(policy, foreign, []string{"./enclave", "./broker", "./policies"}), "as host"},
		{"./broker", join(foreign, []string{"./enclave", "./host"}), "the owner's side links neither of the machines it judges"},
		{"./cmd/glovebox-broker", join(foreign, []string{"./enclave", "./host"}), "as broker"},
		{
			"./cmd/glovebox-run", join(network, policy, state, foreign, []string{"./host", "./broker", "./policies", "./attestation"}),
			"it runs a buyer's code on her own data, with the engine and without anything that knows of keys or networks",
		},
		// net/http and database/sql/driver are not among them: brotli, thrift and a UUID library of arrow-go's name their interfaces.
		{"./internal/source", join(policy, []string{"modernc.org/sqlite", "connectrpc.com", "./attestation", "./enclave", "./host", "./broker", "./policies"}), "outside formats are read beside the creator, by code that knows no keys"},
		{"./policies", []string{"./enclave", "./host", "./broker"}, "policies are asked, they do not call"},
		// database/sql is not among them: a UUID library of AMD's evidence names its interfaces, and opens no database.
		{"./attestation", join(policy, []string{"modernc.org/sqlite", "./enclave", "./host", "./broker", "./policies"}), "evidence is judged by whoever holds it"},
		{"./internal/envelope", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "./internal/dataset", "./internal/job", "./internal/grant", "./internal/tlog", "net/http"}, "the root of all formats is pure"},
		{"./internal/licence", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "./internal/dataset", "./internal/job", "./internal/grant", "./internal/tlog", "net/http"}, "a licence is pure, for enclaves to combine"},
		{"./policies/terms", join(policy, state, network), "people's tools explain terms without the policy engine"},
		{"./internal/job", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http"}, "formats are pure"},
		{"./internal/grant", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http"}, "formats are pure"},
		{"./internal/dataset", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http"}, "formats are pure"},
		{"./internal/jwk", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http"}, "formats are pure"},
		{"./internal/jws", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http", "github.com/golang-jwt"}, "formats are pure, and other people's JWT libraries are for tests"},
		{"./internal/receipt", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http", "github.com/golang-jwt"}, "formats are pure, and other people's JWT libraries are for tests"},
		{"./internal/tlog", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http"}, "formats are pure"},
		{"./internal/bom", []string{"./attestation", "./enclave", "./host", "./broker", "./policies", "net/http"}, "it describes, and checks nothing"},
		{
			"./cmd/glovebox", join(policy, []string{"./enclave", "modernc.org/sqlite", "github.com/tetratelabs/wazero", "github.com/transparency-dev/tessera"}),
			"people's binary starts the daemons, it does not contain them",
		},
	}
}

// SideEffects are the packages that may be imported for their side effects.
func SideEffects() map[string]string {
	return map[string]string{
		"embed":              "the go:embed directive needs it",
		"modernc.org/sqlite": "a database/sql driver registers itself",
	}
}

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
