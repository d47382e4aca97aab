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
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// exchangePath is where a broker answers.
const exchangePath = "/glovebox/v1/exchange"

// relay carries messages between an enclave and brokers and looks at neither.
type relay struct{ client *http.Client }

// newRelay makes a relay that goes through proxy, or through none: what the environment names is not asked.
func newRelay(timeout time.Duration, proxy *url.URL) *relay {
	d := &net.Dialer{Timeout: timeout, Control: refuseMetadata}
	return &relay{&http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy: http.ProxyURL(proxy), DialContext: d.DialContext, TLSHandshakeTimeout: timeout,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// metadata are the addresses of clouds' metadata services that are not link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // Amazon
	netip.MustParseAddr("fd20:ce::254"),    // Google
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle
}

// nat64 has an IPv4 address in its last four bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// refuseMetadata keeps manifests from pointing the host at the metadata service of its cloud, or at everybody at once.
// It sees the address that is dialled, after all names are resolved.
func refuseMetadata(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := a.Addr().Unmap().WithZone("")
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) ||
		slices.Contains(metadata, ip) {
		return fmt.Errorf("%w: %s", ErrAddress, ip)
	}
	return nil
}

// post sends msg to a broker, whose answer may have most bytes. allowed are the addresses in the manifests of the enclave's current job.
func (r *relay) post(ctx context.Context, allowed map[string]bool, address string, msg []byte, most int) ([]byte, error) {
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
	b, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelay, err)
	}
	if len(b) > most {
		return nil, fmt.Errorf("%w: answer of more than %d bytes", ErrRelay, most)
	}
	return b, nil
}

func (r *relay) close() { r.client.CloseIdleConnections() }
