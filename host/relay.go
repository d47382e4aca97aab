// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// exchangePath is where a broker answers.
const exchangePath = "/glovebox/v1/exchange"

// relay carries messages between an enclave and brokers and looks at neither.
type relay struct{ client *http.Client }

func newRelay(timeout time.Duration) *relay {
	d := &net.Dialer{Timeout: min(timeout, 10*time.Second), Control: refuseLinkLocal}
	return &relay{&http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, TLSHandshakeTimeout: min(timeout, 10*time.Second),
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refuseLinkLocal keeps manifests from pointing the host at the metadata service of its cloud, or at everybody at once.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := a.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf("%w: %s", ErrAddress, ip)
	}
	return nil
}

// post sends msg to a broker. allowed are the addresses in the manifests of the enclave's current job.
func (r *relay) post(ctx context.Context, allowed map[string]bool, address string, msg []byte) ([]byte, error) {
	if address == "" || !allowed[address] {
		return nil, fmt.Errorf("%w: %.200q", ErrAddress, address)
	}
	if len(msg) == 0 || len(msg) > grant.MaxMessage {
		return nil, fmt.Errorf("%w: message of %d bytes", ErrTooLarge, len(msg))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(address, "/")+exchangePath, bytes.NewReader(msg))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelay, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s says %d", ErrRelay, address, resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelay, err)
	}
	if len(b) > maxReply {
		return nil, fmt.Errorf("%w: answer of more than %d bytes", ErrRelay, maxReply)
	}
	return b, nil
}

func (r *relay) close() { r.client.CloseIdleConnections() }
