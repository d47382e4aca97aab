// SPDX-License-Identifier: Apache-2.0

package bom

import (
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// SPDX 3.0.1 as JSON-LD, profiles Core, Software, SimpleLicensing, Dataset and AI.
const (
	spdxContext   = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
	spdxVersion   = "3.0.1"
	spdxBase      = "https://glovebox.dev/spdx/" // of the documents' names; nothing is served there
	spdxCreation  = "_:creation"
	spdxNoLicence = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense"
	noAssertion   = "noAssertion"
)

// node is one element. Its members differ by type, so it has no struct.
type node map[string]any

// graph collects the elements of one document.
type graph struct {
	document string // its IRI
	created  string
	profiles []string
	nodes    []node
	names    []any
	agents   map[string]bool
	relation int
}

func newGraph(id envelope.Digest, created string, profiles ...string) *graph {
	return &graph{
		document: spdxBase + id.Hex(), created: created, agents: map[string]bool{},
		profiles: append([]string{"core", "software", "simpleLicensing"}, profiles...),
	}
}

func (g *graph) iri(name string) string { return g.document + "#" + name }

func (g *graph) add(kind, id string, n node) string {
	n["type"], n["spdxId"], n["creationInfo"] = kind, id, spdxCreation
	g.nodes = append(g.nodes, n)
	g.names = append(g.names, id)
	return id
}

func (g *graph) relate(from, kind string, to ...string) {
	g.relation++
	g.add("Relationship", g.iri(fmt.Sprintf("relationship-%d", g.relation)), node{
		"from": from, "relationshipType": kind, "to": to, "completeness": "complete",
	})
}

// agent adds whoever holds a key, once.
func (g *graph) agent(kind, did, name string) string {
	if !g.agents[did] {
		g.agents[did] = true
		g.add(kind, did, node{"name": name})
	}
	return did
}

// write ends the document, whose root is the element that it is about.
func (g *graph) write(by, root string) ([]byte, error) {
	tool := g.add("Tool", g.iri("glovebox"), node{"name": "glovebox"})
	doc := node{
		"type": "SpdxDocument", "spdxId": g.document, "creationInfo": spdxCreation, "name": root,
		"profileConformance": g.profiles, "rootElement": []string{root}, "element": g.names,
	}
	creation := node{
		"type": "CreationInfo", "@id": spdxCreation, "specVersion": spdxVersion, "created": g.created,
		"createdBy": []string{by}, "createdUsing": []string{tool},
	}
	return write(map[string]any{"@context": spdxContext, "@graph": append([]node{creation, doc}, g.nodes...)})
}

// SPDX describes one package.
func SPDX(p *Package) ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	g := newGraph(p.ID, p.published(), "dataset")
	if !p.isData() {
		g = newGraph(p.ID, p.published())
	}
	root := g.pack(p)
	return g.write(p.Manifest.Owner.String(), root)
}

// SPDXRun describes the result of a run: what it was trained on or made of, by which code, and the attestation that says so.
func SPDXRun(r *Run) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	g := newGraph(r.Usage, r.finished(), "dataset")
	if r.hasModel() {
		g.profiles = append(g.profiles, "ai")
	}
	buyer := g.agent("Agent", r.Buyer, "the buyer")
	result := g.result(r, buyer)
	code := g.pack(&r.Packages[0])
	var data []string
	for i := range r.Packages[1:] {
		data = append(data, g.pack(&r.Packages[1+i]))
	}
	g.relate(code, "generates", result)
	if r.hasModel() {
		g.relate(result, "trainedOn", data...)
	} else {
		g.relate(result, "dependsOn", data...)
	}
	attestation := g.file("usage", "usage attestation, an in-toto statement", "evidence", r.Usage)
	evidence := g.file("evidence", "evidence of the enclave", "evidence", r.Evidence)
	g.relate(result, "hasEvidence", attestation, evidence)
	g.relate(result, "hasDeclaredLicense", spdxNoLicence)
	g.relate(result, "hasConcludedLicense", spdxNoLicence)
	return g.write(buyer, result)
}

func (g *graph) result(r *Run, buyer string) string {
	n := node{
		"name": resultName, "verifiedUsing": spdxSum(r.Result), "software_packageVersion": r.Result.Hex(), "releaseTime": r.finished(),
		"builtTime": r.finished(), "suppliedBy": buyer, "software_downloadLocation": "glovebox:result:" + r.Result.String(),
		"software_primaryPurpose": "data", "comment": r.words(),
	}
	kind := "software_Package"
	if r.hasModel() {
		kind, n["software_primaryPurpose"] = "ai_AIPackage", "model"
		n["ai_informationAboutTraining"] = r.words()
		n["ai_useSensitivePersonalInformation"] = noAssertion
	}
	return g.add(kind, g.iri("result"), n)
}

// words say in one line what the attestation says of the run.
func (r *Run) words() string {
	var outputs []string
	for _, o := range r.Outputs {
		outputs = append(outputs, fmt.Sprintf("%s (%s, %d bytes)", o.Name, o.Class, o.Bytes))
	}
	s := fmt.Sprintf("Job %s ran in runtime %s with assurance %s; outputs: %s.", r.Job, r.Runtime, r.Assurance, strings.Join(outputs, ", "))
	for i := range r.Packages[1:] {
		s += fmt.Sprintf(" Of manifest %s, %d records were delivered.", r.Packages[1+i].ID, r.Packages[1+i].Records)
	}
	return s
}

func (g *graph) file(name, text, purpose string, d envelope.Digest) string {
	return g.add("software_File", g.iri(name), node{"name": text, "software_primaryPurpose": purpose, "verifiedUsing": spdxSum(d)})
}

// pack adds a package with its owner, its manifest and its licence.
func (g *graph) pack(p *Package) string {
	m, d := p.Manifest, &p.Manifest.Metadata
	kind := "Organization"
	if d.Creator.Type == "sc:Person" {
		kind = "Person"
	}
	owner := g.agent(kind, m.Owner.String(), d.Creator.Name)
	short := p.ID.Hex()[:16]
	n := node{
		"name": m.Name, "description": d.Description, "software_packageVersion": d.Version, "verifiedUsing": spdxSum(p.leafHashes()),
		"originatedBy": []string{owner}, "suppliedBy": owner, "releaseTime": p.published(), "builtTime": d.Ingestion.Date + "T00:00:00Z",
		"software_downloadLocation": d.Distribution[0].ContentURL, "software_primaryPurpose": "application",
	}
	spdxKind := "software_Package"
	if p.isData() {
		spdxKind, n["software_primaryPurpose"] = "dataset_DatasetPackage", "data"
		describeData(p, n)
	}
	id := g.add(spdxKind, g.iri("package-"+short), n)
	g.relate(id, "hasEvidence", g.file("manifest-"+short, "signed manifest, an in-toto statement", "manifest", p.ID))
	licence := g.licence(p, short)
	g.relate(id, "hasDeclaredLicense", licence)
	g.relate(id, "hasConcludedLicense", licence)
	return id
}

func describeData(p *Package, n node) {
	m, d := p.Manifest, &p.Manifest.Metadata
	n["dataset_datasetType"] = []string{noAssertion}
	if m.Format == dataset.FormatCSV {
		n["dataset_datasetType"] = []string{"structured"}
	}
	n["dataset_datasetSize"] = p.sealedBytes()
	n["dataset_dataCollectionProcess"] = d.Collection
	n["dataset_knownBias"] = d.KnownBiases
	n["dataset_datasetUpdateMechanism"] = d.Retention
	n["dataset_intendedUse"] = "purposes " + strings.Join(m.Terms.Purposes, ", ") + "; modes " + strings.Join(m.Terms.Modes, ", ") + "; only inside an attested enclave"
	n["dataset_hasSensitivePersonalInformation"] = noAssertion
	if d.PIIScan != nil && d.PIIScan.Findings > 0 {
		n["dataset_hasSensitivePersonalInformation"] = "yes"
	}
	if m.Terms.Access != dataset.AccessOpen {
		n["dataset_datasetAvailability"] = "registration"
	}
	var steps []string
	for _, s := range d.Transforms {
		steps = append(steps, s.Step+" "+s.Digest.String())
	}
	if len(steps) > 0 {
		n["dataset_dataPreprocessing"] = steps
	}
	if a := d.Anonymity; a != nil {
		n["dataset_anonymizationMethodUsed"] = []string{fmt.Sprintf("k-anonymity, k = %d", a.K)}
	}
}

// licence is a listed one, or the owner's own terms, which the manifest has in full.
func (g *graph) licence(p *Package, short string) string {
	if id := p.Manifest.Terms.Licence.SPDX; id != "" {
		return g.add("simplelicensing_LicenseExpression", g.iri("licence-"+short), node{"simplelicensing_licenseExpression": id})
	}
	return g.add("simplelicensing_SimpleLicensingText", g.iri("licence-"+short), node{
		"name": p.Manifest.Metadata.License, "simplelicensing_licenseText": "The terms and the ODRL offer in manifest " + p.ID.String(),
	})
}

func spdxSum(d envelope.Digest) []node {
	return []node{{"type": "Hash", "algorithm": "sha256", "hashValue": d.Hex()}}
}
