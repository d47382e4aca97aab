// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	croissantVersion = "http://mlcommons.org/croissant/1.1"
	ingestionLabel   = "glovebox.dev/ingestion/v1"
	ingestionMethod  = "hmac-sha256"
	notStated        = "not stated"
)

// Metadata is a Croissant 1.1 description (JSON-LD) with the dataset's card. Fields prefixed "rai:" are from Croissant's
// responsible-AI vocabulary, those prefixed "gb:" are Glovebox's. It is public: nothing in it may be taken from records.
type Metadata struct {
	Context       Context      `json:"@context"`
	Type          string       `json:"@type"`
	ConformsTo    string       `json:"conformsTo"`
	Name          string       `json:"name"` // the package's
	Description   string       `json:"description"`
	License       string       `json:"license"` // URL, SPDX identifier, or a pointer to usageInfo
	UsageInfo     Offer        `json:"usageInfo"`
	Creator       Agent        `json:"creator"`
	DatePublished string       `json:"datePublished"` // YYYY-MM-DD
	Version       string       `json:"version"`       // the manifest's, as N.0.0
	Distribution  []FileObject `json:"distribution"`
	RecordSet     []RecordSet  `json:"recordSet"`

	Collection  string   `json:"rai:dataCollection"`
	Labels      string   `json:"rai:dataAnnotationProtocol"`
	KnownBiases []string `json:"rai:dataBiases"`
	Retention   string   `json:"rai:dataReleaseMaintenancePlan"`
	Sampling    string   `json:"gb:sampling"`
	Contact     string   `json:"gb:contact"`

	Consent []Reference `json:"gb:consent"`
	Payment []Reference `json:"gb:payment"`
	PIIScan *PIIScan    `json:"gb:piiScan"` // null if none was made
	// Transforms are the steps that the records of this version went through before they were packed, in order.
	Transforms []StepReport `json:"gb:transforms"`
	Anonymity  *Anonymity   `json:"gb:anonymity"` // null if none was reached, or not over all records
	Duplicates Duplicates   `json:"gb:duplicates"`
	Ingestion  Ingestion    `json:"gb:ingestion"`
}

// Agent is who made the dataset.
type Agent struct {
	Type       string             `json:"@type"` // sc:Organization or sc:Person
	Name       string             `json:"name"`
	Identifier envelope.PublicKey `json:"identifier"` // the owner's did:key
}

// FileObject describes the sealed package. Its sha256 is of the blob of leaf hashes, from which every sealed byte can be
// verified; a hash of the plaintext would invite guessing.
type FileObject struct {
	Type           string `json:"@type"`
	ID             string `json:"@id"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	ContentURL     string `json:"contentUrl"`
	ContentSize    string `json:"contentSize"`
	EncodingFormat string `json:"encodingFormat"` // of the plaintext
	SHA256         string `json:"sha256"`
}

// RecordSet describes the records.
type RecordSet struct {
	Type  string  `json:"@type"`
	ID    string  `json:"@id"`
	Name  string  `json:"name"`
	Field []Field `json:"field"`
}

// Field is one column, or the record as a whole where columns are not published.
type Field struct {
	Type     string `json:"@type"`
	ID       string `json:"@id"`
	Name     string `json:"name"`
	DataType string `json:"dataType"`
	Source   Source `json:"source"`
}

// Source says where a field comes from.
type Source struct {
	FileObject IDRef      `json:"fileObject"`
	Extract    Extract    `json:"extract"`
	Transform  *Transform `json:"transform,omitempty"`
}

// Transform takes a part of what was extracted.
type Transform struct {
	Regex string `json:"regex"` // its group is the part
}

// IDRef points to another node.
type IDRef struct {
	ID string `json:"@id"`
}

// Extract selects a column, or the whole content.
type Extract struct {
	Column       string `json:"column,omitempty"`
	FileProperty string `json:"fileProperty,omitempty"`
}

// Reference names a document elsewhere, pinned by digest.
type Reference struct {
	ID     string          `json:"id"`
	Digest envelope.Digest `json:"digest"`
}

// Ingestion is a checksum of the plaintext that this version added, keyed by the data key: HMAC-SHA256 under
// HKDF-Expand-SHA512(data key, "glovebox.dev/ingestion/v1").
type Ingestion struct {
	Method   string          `json:"method"`
	Checksum envelope.Digest `json:"checksum"`
	Date     string          `json:"date"`
}

var date = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// describe fills in what packing knows, and says "not stated" where the owner said nothing.
func (m *Manifest) describe(columns []Column, checksum []byte, now time.Time) error {
	d := &m.Metadata
	today := now.UTC().Format(time.DateOnly)
	d.Type, d.ConformsTo, d.Name, d.Version = "sc:Dataset", croissantVersion, m.Name, m.semver()
	d.UsageInfo = m.offer()
	d.Creator.Identifier = m.Owner
	d.Distribution = m.distribution()
	fields, err := m.fields(columns)
	if err != nil {
		return err
	}
	d.RecordSet = []RecordSet{{"cr:RecordSet", "records", "records", fields}}
	d.Ingestion = Ingestion{ingestionMethod, envelope.Digest(checksum), today}
	for _, s := range []struct {
		field *string
		value string
	}{
		{&d.Description, notStated},
		{&d.License, m.licenceName()},
		{&d.Creator.Type, "sc:Organization"},
		{&d.Creator.Name, notStated},
		{&d.DatePublished, today},
		{&d.Collection, notStated},
		{&d.Labels, notStated},
		{&d.Retention, notStated},
		{&d.Sampling, notStated},
		{&d.Contact, notStated},
	} {
		if *s.field == "" {
			*s.field = s.value
		}
	}
	if len(d.KnownBiases) == 0 {
		d.KnownBiases = []string{notStated}
	}
	if d.Consent == nil {
		d.Consent = []Reference{}
	}
	if d.Payment == nil {
		d.Payment = []Reference{}
	}
	if d.Transforms == nil {
		d.Transforms = []StepReport{}
	}
	return nil
}

// licenceName is what the terms are, where they are exactly a listed licence.
func (m *Manifest) licenceName() string {
	if id := m.Terms.Licence.SPDX; id != "" {
		return id
	}
	return "see usageInfo"
}

func (m *Manifest) semver() string { return strconv.FormatInt(m.Version, 10) + ".0.0" }

func (m *Manifest) encodingFormat() string {
	switch m.Format {
	case FormatCSV:
		return "text/csv"
	case FormatJSONL:
		return "application/jsonlines"
	default:
		return "application/x-tar"
	}
}

func (m *Manifest) distribution() []FileObject {
	var sealed int64
	for i := range m.Segments {
		if m.Erased(i) == nil {
			sealed += m.Segments[i].Bytes
		}
	}
	return []FileObject{{
		Type: "cr:FileObject", ID: "sealed", Name: m.Name,
		Description: "Sealed: usable only inside an attested enclave, under usageInfo. sha256 is of the list of leaf hashes.",
		ContentURL:  "glovebox:" + m.Tree.Root.String(), ContentSize: strconv.FormatInt(sealed, 10) + " B",
		EncodingFormat: m.encodingFormat(), SHA256: m.Tree.Levels[0].Hex(),
	}}
}

// Column is a column that the owner publishes.
type Column struct {
	Name string
	Type string // sc:Text, sc:Integer, sc:Float, sc:Boolean or sc:Date
}

// columnTypes are the types that a published column may have.
var columnTypes = []string{"sc:Text", "sc:Integer", "sc:Float", "sc:Boolean", "sc:Date"}

// headerColumns are the columns of a CSV header; their types are not known.
func headerColumns(header []byte) ([]Column, error) {
	if len(header) == 0 {
		return nil, nil
	}
	names, err := csv.NewReader(bytes.NewReader(header)).Read()
	if err != nil {
		return nil, fmt.Errorf("%w: a header that cannot be published", ErrCSV)
	}
	out := make([]Column, len(names))
	for i, n := range names {
		out[i] = Column{n, "sc:Text"}
	}
	return out, nil
}

// published are the columns that the owner publishes: none unless she said so.
func (p *packer) published() ([]Column, error) {
	switch {
	case !p.cfg.PublishColumns:
		return nil, nil
	case p.cfg.Columns != nil:
		return p.cfg.Columns, nil
	}
	return headerColumns(p.columns)
}

// labelRegex takes the class of an image, which is the folder it lies in, out of its path.
const labelRegex = "^(.+)/[^/]+$"

// ImageColumns are what [PackConfig.Columns] is for a folder of images: each record is an image, and its label the folder it lies in.
func ImageColumns() []Column { return []Column{{"image", "sc:ImageObject"}, {"label", "sc:Text"}} }

// imageFields are the fields of images. No class is named: only the package has them, in the names of its files.
func imageFields() []Field {
	c := ImageColumns()
	return []Field{
		newField("records/image", c[0], Extract{FileProperty: "content"}, nil),
		newField("records/label", c[1], Extract{FileProperty: "fullpath"}, &Transform{labelRegex}),
	}
}

func newField(id string, c Column, x Extract, t *Transform) Field {
	return Field{"cr:Field", id, c.Name, c.Type, Source{IDRef{"sealed"}, x, t}}
}

// fields lists the columns, if the owner publishes them.
func (m *Manifest) fields(columns []Column) ([]Field, error) {
	if len(columns) == 0 {
		return []Field{newField("records/record", Column{"record", "sc:Text"}, Extract{FileProperty: "content"}, nil)}, nil
	}
	if m.Format == FormatFiles {
		if !slices.Equal(columns, ImageColumns()) {
			return nil, fmt.Errorf("%w: files have no columns", ErrConfig)
		}
		return imageFields(), nil
	}
	if len(columns) > MaxColumns {
		return nil, fmt.Errorf("%w: header with %d columns cannot be published, at most %d", ErrCSV, len(columns), MaxColumns)
	}
	out := make([]Field, len(columns))
	for i, c := range columns {
		if c.Name == "" || !utf8.ValidString(c.Name) || len(c.Name) > MaxText || !slices.Contains(columnTypes, c.Type) {
			return nil, fmt.Errorf("%w: column %d has a name or type that cannot be published", ErrCSV, i+1)
		}
		out[i] = newField("records/"+strconv.Itoa(i), c, Extract{Column: c.Name}, nil)
	}
	return out, nil
}

// validateMetadata checks the description against the manifest: the two may not contradict each other.
func (m *Manifest) validateMetadata() error {
	d := &m.Metadata
	switch {
	case d.Type != "sc:Dataset" || d.ConformsTo != croissantVersion:
		return invalid("metadata is not a Croissant 1.1 dataset")
	case d.Name != m.Name || d.Version != m.semver() || !d.Creator.Identifier.Equal(m.Owner):
		return invalid("metadata has another name, version or owner")
	case !reflect.DeepEqual(d.UsageInfo, m.offer()):
		return invalid("metadata: usageInfo does not say what the terms say")
	case !reflect.DeepEqual(d.Distribution, m.distribution()):
		return invalid("metadata: distribution does not describe the segments")
	case d.Creator.Type != "sc:Organization" && d.Creator.Type != "sc:Person":
		return invalid("metadata: creator is a %q", d.Creator.Type)
	case !date.MatchString(d.DatePublished) || !date.MatchString(d.Ingestion.Date):
		return invalid("metadata: date is not YYYY-MM-DD")
	case d.Ingestion.Method != ingestionMethod || d.Ingestion.Checksum.IsZero():
		return invalid("metadata: no ingestion checksum")
	}
	texts := append([]string{d.Description, d.License, d.Creator.Name, d.Collection, d.Labels, d.Retention, d.Sampling, d.Contact}, d.KnownBiases...)
	for _, s := range texts {
		if s == "" || len(s) > MaxText {
			return invalid("metadata: a text is missing or longer than %d bytes", MaxText)
		}
	}
	if len(d.KnownBiases) == 0 || len(d.KnownBiases) > MaxList {
		return invalid("metadata: known biases are missing")
	}
	if err := m.validateRecordSet(); err != nil {
		return err
	}
	if err := d.validateReferences(); err != nil {
		return err
	}
	return m.validateIngest()
}

// validateRecordSet holds the record set to the three forms that describe writes.
func (m *Manifest) validateRecordSet() error {
	rs := m.Metadata.RecordSet
	if len(rs) != 1 || rs[0].Type != "cr:RecordSet" || rs[0].ID != "records" || rs[0].Name != "records" ||
		len(rs[0].Field) == 0 || len(rs[0].Field) > MaxColumns {
		return invalid("metadata: want one record set with fields")
	}
	whole, err := m.fields(nil)
	if err != nil || reflect.DeepEqual(rs[0].Field, whole) {
		return err
	}
	if m.Format == FormatFiles {
		if !reflect.DeepEqual(rs[0].Field, imageFields()) {
			return invalid("metadata: files have no fields but those of images")
		}
		return nil
	}
	for i, f := range rs[0].Field {
		want := newField("records/"+strconv.Itoa(i), Column{f.Name, f.DataType}, Extract{Column: f.Name}, nil)
		if f != want || !slices.Contains(columnTypes, f.DataType) || f.Name == "" || len(f.Name) > MaxText {
			return invalid("metadata: field %d", i)
		}
	}
	return nil
}

func (d *Metadata) validateReferences() error {
	if d.Consent == nil || d.Payment == nil || len(d.Consent) > MaxList || len(d.Payment) > MaxList {
		return invalid("metadata: consent and payment references must be lists")
	}
	for _, r := range append(append([]Reference{}, d.Consent...), d.Payment...) {
		if r.ID == "" || len(r.ID) > MaxText || r.Digest.IsZero() {
			return invalid("metadata: reference without id or digest")
		}
	}
	return nil
}

// offerID names the offer by dataset and version.
func (m *Manifest) offerID() string {
	return "glovebox:offer:" + hex.EncodeToString(m.Dataset[:]) + ":" + strconv.FormatInt(m.Version, 10)
}
