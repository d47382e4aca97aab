// SPDX-License-Identifier: Apache-2.0

// Package s3store keeps blobs in a bucket of a server that speaks Amazon's S3 API.
//
// Trust domain: creators' and operators' machines; the server is trusted with nothing, since what it gives is ciphertext that
// readers prove. Its one job: to be a [dataset.Store] whatever the server does: errors say who can mend them, a blob appears
// whole or not at all, and memory is bounded. Objects are named as [dataset.DirStore] names its files, PREFIX/ab/cdef…, so
// that either is a copy of the other. Nothing of the enclave is linked with it.
package s3store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. Those of the blobs are [dataset.Store]'s.
var (
	ErrConfig      = errors.New("s3store: invalid configuration")
	ErrCredentials = errors.New("s3store: the server does not accept the credentials")
	ErrBucket      = errors.New("s3store: no such bucket")
	ErrRefused     = errors.New("s3store: the server refuses the request")
	ErrUnavailable = errors.New("s3store: the server is away, too slow, or answers nonsense")
)

// Config says where the blobs are. Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, from
// the shared credentials file (AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE), or from the machine's role, in this order, and are
// asked for again when they expire. They are never part of an address.
type Config struct {
	Endpoint  string // host, or host:port
	Insecure  bool   // http
	Region    string // asked of the server if empty
	Bucket    string
	Prefix    string // of the objects' names; "" is none
	PathStyle bool   // the bucket is in the path, not in the host's name
	Spool     string // folder in which large blobs wait for their digest; the system's if empty

	// Credentials replace what the environment says, if not nil.
	Credentials *credentials.Credentials
	// Patience is how long a request may bring nothing, and a fourth of how long one for a block may take; 30 s if 0.
	Patience time.Duration
	// Pause is the wait before a failed request is made again, doubled each time; 100 ms if 0.
	Pause time.Duration
}

// IsURL reports whether a place for blobs is an S3 address rather than a folder.
func IsURL(s string) bool { return strings.HasPrefix(s, "s3://") }

// Parse reads s3://BUCKET/PREFIX?endpoint=URL&region=NAME&path-style=BOOL. Without an endpoint it is that of AWS_ENDPOINT_URL,
// or Amazon's; without a region that of AWS_REGION. Servers named by an endpoint get the bucket in the path unless told
// otherwise. Error: [ErrConfig].
func Parse(address string, getenv func(string) string) (Config, error) {
	bad := func(format string, a ...any) (Config, error) {
		return Config{}, fmt.Errorf("%w: %s; write it like s3://bucket/prefix?endpoint=https://s3.example.org", ErrConfig, fmt.Sprintf(format, a...))
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return bad("the address does not parse")
	case u.User != nil:
		return bad("credentials do not belong into an address: give them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in a credentials file")
	case u.Scheme != "s3" || u.Host == "" || u.Fragment != "":
		return bad("no bucket")
	}
	c := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: getenv("AWS_REGION")}
	endpoint := getenv("AWS_ENDPOINT_URL")
	style := ""
	for name, values := range u.Query() {
		switch {
		case len(values) != 1 || values[0] == "":
			return bad("%q has no value, or several", name)
		case name == "endpoint":
			endpoint = values[0]
		case name == "region":
			c.Region = values[0]
		case name == "path-style":
			style = values[0]
		default:
			return bad("nothing is called %q", name)
		}
	}
	if c.Prefix != "" && !fs.ValidPath(c.Prefix) {
		return bad("prefix %q has empty parts or dots", c.Prefix)
	}
	c.PathStyle = endpoint != ""
	if style != "" {
		if c.PathStyle, err = strconv.ParseBool(style); err != nil {
			return bad("path-style is true or false")
		}
	}
	if err := c.reach(endpoint); err != nil {
		return bad("%v", err)
	}
	return c, nil
}

// reach takes the server out of its URL.
func (c *Config) reach(endpoint string) error {
	if endpoint == "" {
		c.Endpoint = "s3.amazonaws.com"
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("the endpoint is the http or https URL of a server, without a path")
	}
	c.Endpoint, c.Insecure = u.Host, u.Scheme == "http"
	return nil
}

// Store is a [dataset.Store] in a bucket. It is for any number of goroutines.
type Store struct {
	c     Config
	api   *minio.Client
	cache *cache
}

// Open checks that the bucket is there and that the credentials open it. Errors: those of this package.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Bucket == "" || c.Endpoint == "" {
		return nil, fmt.Errorf("%w: no bucket or server", ErrConfig)
	}
	if c.Credentials == nil {
		c.Credentials = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: time.Second}},
		})
	}
	if c.Patience <= 0 {
		c.Patience = patience
	}
	if c.Pause <= 0 {
		c.Pause = firstPause
	}
	transport, err := minio.DefaultTransport(!c.Insecure)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	transport.ResponseHeaderTimeout, transport.MaxResponseHeaderBytes = c.Patience, maxAnswer
	lookup := minio.BucketLookupDNS
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	// Requests are made again by this package, which knows how far they came; the client makes each once.
	api, err := minio.New(c.Endpoint, &minio.Options{
		Creds: c.Credentials, Secure: !c.Insecure, Region: c.Region, BucketLookup: lookup, Transport: bounded{transport}, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s := &Store{c: c, api: api}
	s.cache = newCache(s.fetch)
	var there bool
	if err := s.again(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, c.Patience)
		defer cancel()
		there, err = api.BucketExists(ctx, c.Bucket)
		return err
	}); err != nil {
		return nil, s.inWords(ctx, err, envelope.Sum(nil))
	}
	if !there {
		return nil, fmt.Errorf("%w: %s at %s", ErrBucket, c.Bucket, c.Endpoint)
	}
	return s, nil
}

func (s *Store) key(d envelope.Digest) string {
	h := d.Hex()
	return path.Join(s.c.Prefix, h[:2], h[2:])
}

// Put implements [dataset.Store]. The blob waits until its digest is known, a large one in an unnamed file; then its parts are
// uploaded side by side. The server makes it appear whole.
func (s *Store) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	h := sha256.New()
	b, err := spool(io.TeeReader(stopping{ctx, r}, h), s.c.Spool)
	if err != nil {
		return envelope.Digest{}, 0, fmt.Errorf("store: %w", err)
	}
	defer b.close()
	d := envelope.Digest(h.Sum(nil))
	if there, err := s.holds(ctx, d, b.size); err == nil && there {
		return d, b.size, nil
	}
	if err := s.again(ctx, func(ctx context.Context) error { return s.upload(ctx, d, b) }); err != nil {
		return envelope.Digest{}, 0, err
	}
	s.cache.forget(d) // what was read of it before
	n, err := s.Size(ctx, d)
	switch {
	case errors.Is(err, dataset.ErrNoBlob):
		return envelope.Digest{}, 0, fmt.Errorf("%w: it took a blob of %d bytes and has none", ErrUnavailable, b.size)
	case err != nil:
		return envelope.Digest{}, 0, err
	case n != b.size:
		return envelope.Digest{}, 0, fmt.Errorf("%w: it took a blob of %d bytes and has one of %d", ErrUnavailable, b.size, n)
	}
	return d, n, nil
}

// holds reports whether the blob is there, whole and right. It is read for that: a length proves nothing, and what a damaged blob
// is packed again for is to mend it.
func (s *Store) holds(ctx context.Context, d envelope.Digest, size int64) (bool, error) {
	if n, err := s.Size(ctx, d); err != nil || n != size {
		return false, err
	}
	s.cache.forget(d)
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, io.NewSectionReader(blobAt{ctx, s, d}, 0, size), make([]byte, blockSize))
	return err == nil && n == size && envelope.Digest(h.Sum(nil)) == d, err
}

// blobAt is a blob as an io.ReaderAt.
type blobAt struct {
	ctx context.Context // of the one call that reads it
	s   *Store
	d   envelope.Digest
}

func (b blobAt) ReadAt(p []byte, off int64) (int, error) { return b.s.ReadAt(b.ctx, b.d, p, off) }

func (s *Store) upload(ctx context.Context, d envelope.Digest, b *spooled) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Patience+time.Duration(b.size/leastExpected)*time.Second)
	defer cancel()
	_, err := s.api.PutObject(ctx, s.c.Bucket, s.key(d), b.reader(), b.size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize, NumThreads: uploadParts, SendContentMd5: s.c.Insecure,
	})
	return err
}

// Size implements [dataset.Store].
func (s *Store) Size(ctx context.Context, d envelope.Digest) (n int64, err error) {
	err = s.again(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.c.Patience)
		defer cancel()
		o, err := s.api.StatObject(ctx, s.c.Bucket, s.key(d), minio.StatObjectOptions{})
		if err == nil && o.Size < 0 {
			err = errNonsense
		}
		n = o.Size
		return err
	})
	if err != nil {
		return 0, s.named(s.inWords(ctx, err, d), d)
	}
	return n, nil
}

// inWords is why the server refused a HEAD, to which it answers with a status and no words: a GET of the blob is refused for
// the same reason, and says it.
func (s *Store) inWords(ctx context.Context, err error, d envelope.Digest) error {
	if !errors.Is(err, ErrRefused) {
		return err
	}
	if _, told := s.fetch(ctx, d, 0); told != nil && !errors.Is(told, dataset.ErrNoBlob) {
		return told
	}
	return err
}

// Remove forgets a blob. Removing what is not there is no error.
func (s *Store) Remove(ctx context.Context, d envelope.Digest) error {
	s.cache.forget(d)
	err := s.again(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.c.Patience)
		defer cancel()
		return s.api.RemoveObject(ctx, s.c.Bucket, s.key(d), minio.RemoveObjectOptions{})
	})
	if errors.Is(err, dataset.ErrNoBlob) {
		return nil
	}
	return err
}

// ReadAt implements [dataset.BlobReader]. Blocks are read ahead of somebody who reads on, side by side.
func (s *Store) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("%w: offset %d", dataset.ErrOffset, off)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		b, err := s.cache.block(ctx, d, at/blockSize)
		if err != nil {
			return n, s.named(err, d)
		}
		in := int(at % blockSize)
		if in < len(b.data) {
			n += copy(p[n:], b.data[in:])
		}
		if n < len(p) && b.last {
			return n, io.EOF
		}
	}
	return n, nil
}

func (s *Store) named(err error, d envelope.Digest) error {
	if errors.Is(err, dataset.ErrNoBlob) {
		return fmt.Errorf("%w: %s", dataset.ErrNoBlob, d)
	}
	return err
}

// stopping ends a source with its context.
type stopping struct {
	ctx context.Context
	r   io.Reader
}

func (s stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// spooled is a blob that waits.
type spooled struct {
	memory []byte
	file   *os.File
	size   int64
}

func spool(r io.Reader, dir string) (*spooled, error) {
	b, err := io.ReadAll(io.LimitReader(r, inMemory+1))
	if err != nil {
		return nil, err
	}
	if len(b) <= inMemory {
		return &spooled{memory: b, size: int64(len(b))}, nil
	}
	f, err := os.CreateTemp(dir, "glovebox-blob-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) //nolint:errcheck // the file lives as long as it is open
	s := &spooled{file: f}
	n, err := f.Write(b)
	if err == nil {
		s.size, err = io.CopyBuffer(struct{ io.Writer }{f}, r, b[:1<<20])
		s.size += int64(n)
	}
	if err != nil {
		f.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return s, nil
}

func (s *spooled) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.NewSectionReader(s.file, 0, s.size)
}

func (s *spooled) close() {
	if s.file != nil {
		s.file.Close() //nolint:errcheck // nothing is lost
	}
}
