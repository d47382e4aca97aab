// SPDX-License-Identifier: Apache-2.0

package bom

import (
	"fmt"
	"strconv"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// CycloneDX 1.6 (ECMA-424), as far as we write it. Objects of the format are strict: a member it does not know is an error.
type cdxBOM struct {
	Format       string           `json:"bomFormat"`
	Spec         string           `json:"specVersion"`
	Serial       string           `json:"serialNumber"`
	Version      int              `json:"version"`
	Metadata     cdxMetadata      `json:"metadata"`
	Components   []cdxComponent   `json:"components"`
	Dependencies []cdxDependency  `json:"dependencies"`
	Compositions []cdxComposition `json:"compositions,omitempty"`
}

type cdxMetadata struct {
	Timestamp string       `json:"timestamp"`
	Component cdxComponent `json:"component"`
}

type cdxComponent struct {
	Type        string         `json:"type"`
	MIME        string         `json:"mime-type,omitempty"`
	Ref         string         `json:"bom-ref"`
	Authors     []cdxContact   `json:"authors,omitempty"`
	Name        string         `json:"name"`
	Version     string         `json:"version,omitempty"`
	Description string         `json:"description,omitempty"`
	Hashes      []cdxHash      `json:"hashes"`
	Licenses    []cdxLicences  `json:"licenses,omitempty"`
	References  []cdxReference `json:"externalReferences,omitempty"`
	ModelCard   *cdxModelCard  `json:"modelCard,omitempty"`
	Data        []cdxData      `json:"data,omitempty"`
	Properties  []cdxProperty  `json:"properties"`
}

type cdxContact struct {
	Name string `json:"name"`
}

type cdxHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type cdxLicences struct {
	License cdxLicence `json:"license"`
}

type cdxLicence struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

type cdxReference struct {
	Type   string    `json:"type"`
	URL    string    `json:"url"`
	Hashes []cdxHash `json:"hashes"`
}

type cdxModelCard struct {
	Parameters struct {
		Datasets []cdxRef `json:"datasets"`
	} `json:"modelParameters"`
}

type cdxRef struct {
	Ref string `json:"ref"`
}

type cdxData struct {
	Type       string        `json:"type"`
	Name       string        `json:"name"`
	Contents   cdxContents   `json:"contents"`
	Sensitive  []string      `json:"sensitiveData,omitempty"`
	Governance cdxGovernance `json:"governance"`
}

type cdxContents struct {
	URL string `json:"url"`
}

type cdxGovernance struct {
	Owners []cdxParty `json:"owners"`
}

type cdxParty struct {
	Organization *cdxContact `json:"organization,omitempty"`
	Contact      *cdxContact `json:"contact,omitempty"`
}

type cdxProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cdxDependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

type cdxComposition struct {
	Aggregate    string   `json:"aggregate"`
	Dependencies []string `json:"dependencies"`
}

// CycloneDX describes one package.
func CycloneDX(p *Package) ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	c := p.cyclonedx()
	return write(cdxBOM{
		Format: "CycloneDX", Spec: "1.6", Serial: serial(p.ID), Version: 1,
		Metadata:   cdxMetadata{p.published(), c},
		Components: []cdxComponent{}, Dependencies: []cdxDependency{{c.Ref, []string{}}},
	})
}

// CycloneDXRun describes the result of a run and all that went into it (an ML-BOM where the result holds a model). That the
// list is complete is what the enclave attests: nothing else reached the code.
func CycloneDXRun(r *Run) ([]byte, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	c := cdxComponent{
		Type: "data", MIME: "application/octet-stream", Ref: "result:" + r.Result.String(), Name: resultName,
		Description: "An age file for the buyer, made in an attested enclave.",
		Hashes:      cdxSum(r.Result), References: r.references(), Properties: r.properties(),
	}
	if r.hasModel() {
		c.Type, c.ModelCard = "machine-learning-model", &cdxModelCard{}
		for i := range r.Packages[1:] {
			c.ModelCard.Parameters.Datasets = append(c.ModelCard.Parameters.Datasets, cdxRef{r.Packages[1+i].ref()})
		}
	}
	b := cdxBOM{
		Format: "CycloneDX", Spec: "1.6", Serial: serial(r.Usage), Version: 1, Metadata: cdxMetadata{r.finished(), c},
		Dependencies: []cdxDependency{{c.Ref, []string{}}}, Compositions: []cdxComposition{{"complete", []string{c.Ref}}},
	}
	for i := range r.Packages {
		p := &r.Packages[i]
		b.Components = append(b.Components, p.cyclonedx())
		b.Dependencies[0].DependsOn = append(b.Dependencies[0].DependsOn, p.ref())
		b.Dependencies = append(b.Dependencies, cdxDependency{p.ref(), []string{}})
	}
	return write(b)
}

func (p *Package) ref() string { return "manifest:" + p.ID.String() }

func (p *Package) cyclonedx() cdxComponent {
	m := p.Manifest
	d := &m.Metadata
	c := cdxComponent{
		Type: "application", Ref: p.ref(), Authors: []cdxContact{{d.Creator.Name}}, Name: m.Name, Version: d.Version,
		Description: d.Description, Hashes: cdxSum(p.leafHashes()), Licenses: []cdxLicences{{p.cdxLicence()}},
		References: []cdxReference{
			{"digital-signature", "glovebox:manifest:" + p.ID.String(), cdxSum(p.ID)},
			{"distribution", d.Distribution[0].ContentURL, cdxSum(p.leafHashes())},
		},
		Properties: []cdxProperty{
			{"glovebox:root", m.Tree.Root.String()},
			{"glovebox:owner", m.Owner.String()},
			{"glovebox:version", strconv.FormatInt(m.Version, 10)},
			{"glovebox:sealedBytes", strconv.FormatInt(p.sealedBytes(), 10)},
			{"glovebox:records", strconv.FormatInt(m.Records, 10)},
		},
	}
	for _, mode := range m.Terms.Modes {
		c.Properties = append(c.Properties, cdxProperty{"glovebox:mode", mode})
	}
	for _, purpose := range m.Terms.Purposes {
		c.Properties = append(c.Properties, cdxProperty{"glovebox:purpose", purpose})
	}
	if p.Records > 0 {
		c.Properties = append(c.Properties, cdxProperty{"glovebox:recordsDelivered", strconv.FormatInt(p.Records, 10)})
	}
	if p.isData() {
		c.Type, c.Data = "data", []cdxData{p.cdxData()}
	}
	return c
}

func (p *Package) cdxData() cdxData {
	d := &p.Manifest.Metadata
	owner := cdxParty{Organization: &cdxContact{d.Creator.Name}}
	if d.Creator.Type == "sc:Person" {
		owner = cdxParty{Contact: &cdxContact{d.Creator.Name}}
	}
	data := cdxData{
		Type: "dataset", Name: p.Manifest.Name, Contents: cdxContents{d.Distribution[0].ContentURL},
		Governance: cdxGovernance{[]cdxParty{owner}},
	}
	if d.PIIScan != nil {
		for _, t := range d.PIIScan.Types {
			data.Sensitive = append(data.Sensitive, fmt.Sprintf("%s, found %d times by %s %s", t.Name, t.Count, d.PIIScan.Tool, d.PIIScan.Version))
		}
	}
	return data
}

// cdxLicence names the licence: a listed one by its SPDX identifier, terms of the owner's own as the manifest names them.
func (p *Package) cdxLicence() cdxLicence {
	if id := p.Manifest.Terms.Licence.SPDX; id != "" {
		return cdxLicence{ID: id}
	}
	return cdxLicence{Name: p.Manifest.Metadata.License}
}

func (r *Run) references() []cdxReference {
	return []cdxReference{
		{"attestation", "glovebox:usage:" + r.Usage.String(), cdxSum(r.Usage)},
		{"evidence", "glovebox:evidence:" + r.Evidence.String(), cdxSum(r.Evidence)},
	}
}

func (r *Run) properties() []cdxProperty {
	out := []cdxProperty{
		{"glovebox:job", r.Job.String()},
		{"glovebox:buyer", r.Buyer},
		{"glovebox:assurance", r.Assurance},
		{"glovebox:runtime", r.Runtime},
	}
	if r.Module != nil {
		out = append(out, cdxProperty{"glovebox:module", r.Module.String()})
	}
	for _, o := range r.Outputs {
		out = append(out, cdxProperty{"glovebox:output", fmt.Sprintf("%s, %s, %d bytes", o.Name, o.Class, o.Bytes)})
	}
	return out
}

func cdxSum(d envelope.Digest) []cdxHash { return []cdxHash{{"SHA-256", d.Hex()}} }

const serialLabel = "glovebox.dev/bom-serial/v1"

// serial is a UUID of version 8 (RFC 9562) out of a digest: the same input has the same serial number everywhere.
func serial(d envelope.Digest) string {
	b := envelope.Hash(serialLabel, d[:])
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
