// SPDX-License-Identifier: Apache-2.0

// Package s3test starts versitygw, a real S3 server, for tests.
//
// Trust domain: none, tests only. Its one job: a bucket on a folder of the test's, gone when the test ends.
package s3test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/glovebox-dev/glovebox/internal/s3store"
)

// The server's only account.
const (
	AccessKey = "glovebox-test"
	SecretKey = "not a secret at all"
)

// version is the one that .ci/deps builds into the cache.
const version = "v1.8.0"

// Server is a running versitygw with one bucket.
type Server struct {
	Endpoint string // host:port
	Bucket   string
	Folder   string // the bucket's objects, as files
}

// Start runs the server, or skips the test where there is none.
func Start(t testing.TB) *Server {
	t.Helper()
	binary, err := find()
	if err != nil {
		t.Skipf("SKIP 1: %v: build it with .ci/deps versitygw, or set GLOVEBOX_VERSITYGW", err)
	}
	root := t.TempDir()
	s := &Server{Bucket: "blobs", Folder: filepath.Join(root, "blobs")}
	if err := os.Mkdir(s.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = l.Addr().String()
	l.Close()
	// A folder without extended attributes keeps what the server notes about objects elsewhere.
	c := exec.Command(binary, "--port", s.Endpoint, "posix", "--sidecar", t.TempDir(), root)
	c.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill() //nolint:errcheck // it is gone either way
		c.Wait()         //nolint:errcheck // killed
	})
	for range 600 {
		if conn, err := net.Dial("tcp", s.Endpoint); err == nil {
			conn.Close()
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("versitygw does not listen")
	return nil
}

// Config is how the bucket is opened.
func (s *Server) Config() s3store.Config {
	return s3store.Config{
		Endpoint: s.Endpoint, Insecure: true, Region: "us-east-1", Bucket: s.Bucket, PathStyle: true,
		Credentials: credentials.NewStaticV4(AccessKey, SecretKey, ""),
	}
}

// URL is the bucket's address for command lines, and Env the environment that opens it.
func (s *Server) URL(prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=http://%s&region=us-east-1", s.Bucket, prefix, s.Endpoint)
}

// Env has the credentials.
func (s *Server) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey}
}

func find() (string, error) {
	if p := os.Getenv("GLOVEBOX_VERSITYGW"); p != "" {
		return p, nil
	}
	if cache, err := os.UserCacheDir(); err == nil {
		p := filepath.Join(cache, "glovebox", "versitygw-"+version, "versitygw")
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p, nil
		}
	}
	p, err := exec.LookPath("versitygw")
	if err != nil {
		return "", errors.New("no S3 server (versitygw " + version + ") here")
	}
	return p, nil
}
