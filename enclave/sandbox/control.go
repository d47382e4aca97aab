// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// receiveMessage reads one message of a SOCK_SEQPACKET socket with the descriptors it carries. A closed peer is io.EOF.
func receiveMessage(sock int) (b []byte, fds []int, err error) {
	b, oob := make([]byte, maxControl), make([]byte, unix.CmsgSpace(4*8))
	var n, oobn, flags int
	for {
		n, oobn, flags, _, err = unix.Recvmsg(sock, b, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, nil, err
	}
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(fds)
			return nil, nil, err
		}
		fds = append(fds, got...)
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		closeAll(fds)
		return nil, nil, errors.New("message truncated")
	}
	return b[:n], fds, nil
}

// sendMessage sends one message and copies of fds.
func sendMessage(sock int, b []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(sock, b, oob, nil, unix.MSG_NOSIGNAL)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
