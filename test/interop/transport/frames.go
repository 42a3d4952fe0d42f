package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const exchangeTimeout = 4 * time.Second

// header is one field of a request, in order; names beginning with ":" are pseudo headers.
type header struct{ name, value string }

// exchange is a request on stream 1 of a new connection, frame by frame.
type exchange struct {
	headers  []header
	data     []byte
	trailers []header
	noEnd    bool // leaves the request open
	endEarly bool // ends the request with its HEADERS
	after    func(framer *http2.Framer) error
}

const rangePath = "/etcdserverpb.KV/Range"

// usual are the headers of a proper call, with changes: a value replaces, "-" removes, a new name is appended.
func usual(path string, changes ...header) []header {
	headers := []header{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	}
	for _, change := range changes {
		found := false
		for i := range headers {
			if headers[i].name == change.name {
				headers[i].value = change.value
				found = true
			}
		}
		if !found {
			headers = append(headers, change)
		}
	}
	kept := headers[:0]
	for _, h := range headers {
		if h.value != "-" {
			kept = append(kept, h)
		}
	}
	return kept
}

// message frames gRPC messages, each with the flag byte given.
func message(flag byte, payloads ...[]byte) []byte {
	var out []byte
	for _, payload := range payloads {
		out = append(out, flag)
		out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
		out = append(out, payload...)
	}
	return out
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func frameCases() []testCase {
	// A range of a key that does not exist is answered the same whatever the store holds.
	request := []byte{0x0a, 0x06, 'a', 'b', 's', 'e', 'n', 't'}
	proper := message(0, request)
	list := []struct {
		name string
		exchange
	}{
		{"a proper call", exchange{headers: usual(rangePath), data: proper}},
		{"an unknown service", exchange{headers: usual("/etcdserverpb.Nothing/Range"), data: proper}},
		{"an unknown method", exchange{headers: usual("/etcdserverpb.KV/Nothing"), data: proper}},
		{"a method in lower case", exchange{headers: usual("/etcdserverpb.KV/range"), data: proper}},
		{"a path of one part", exchange{headers: usual("/Range"), data: proper}},
		{"a path that is a slash", exchange{headers: usual("/"), data: proper}},
		{"a path of three parts", exchange{headers: usual("/a/b/c"), data: proper}},
		{"a path without a slash in front", exchange{headers: usual("etcdserverpb.KV/Range"), data: proper}},
		{"a path without a method", exchange{headers: usual("/etcdserverpb.KV/"), data: proper}},
		{"a path with a query", exchange{headers: usual(rangePath + "?a=b"), data: proper}},
		{"an empty path", exchange{headers: usual(""), data: proper}},

		{"no content-type", exchange{headers: usual(rangePath, header{"content-type", "-"}), data: proper}},
		{"content-type text/plain", exchange{headers: usual(rangePath, header{"content-type", "text/plain"}), data: proper}},
		{"content-type application/grpc+proto", exchange{headers: usual(rangePath, header{"content-type", "application/grpc+proto"}), data: proper}},
		{"content-type application/grpc+json", exchange{headers: usual(rangePath, header{"content-type", "application/grpc+json"}), data: proper}},
		{"content-type application/grpc+unknown", exchange{headers: usual(rangePath, header{"content-type", "application/grpc+unknown"}), data: proper}},
		{"content-type application/grpc;charset=utf-8", exchange{headers: usual(rangePath, header{"content-type", "application/grpc;charset=utf-8"}), data: proper}},
		{"content-type application/grpcx", exchange{headers: usual(rangePath, header{"content-type", "application/grpcx"}), data: proper}},
		{"content-type APPLICATION/GRPC", exchange{headers: usual(rangePath, header{"content-type", "APPLICATION/GRPC"}), data: proper}},
		{"no te", exchange{headers: usual(rangePath, header{"te", "-"}), data: proper}},
		{"method GET", exchange{headers: usual(rangePath, header{":method", "GET"}), data: proper}},
		{"method PUT", exchange{headers: usual(rangePath, header{":method", "PUT"}), data: proper}},

		{"grpc-timeout without a unit", exchange{headers: usual(rangePath, header{"grpc-timeout", "1"}), data: proper}},
		{"grpc-timeout that is no number", exchange{headers: usual(rangePath, header{"grpc-timeout", "xS"}), data: proper}},
		{"grpc-timeout of an unknown unit", exchange{headers: usual(rangePath, header{"grpc-timeout", "1x"}), data: proper}},
		{"grpc-timeout of nine digits", exchange{headers: usual(rangePath, header{"grpc-timeout", "123456789S"}), data: proper}},
		{"grpc-timeout negative", exchange{headers: usual(rangePath, header{"grpc-timeout", "-1S"}), data: proper}},
		{"grpc-timeout of many hours", exchange{headers: usual(rangePath, header{"grpc-timeout", "99999999H"}), data: proper}},
		{"grpc-timeout empty", exchange{headers: usual(rangePath, header{"grpc-timeout", ""}), data: proper}},

		{"grpc-encoding unknown, message plain", exchange{headers: usual(rangePath, header{"grpc-encoding", "snappy"}), data: proper}},
		{"grpc-encoding unknown, message compressed", exchange{headers: usual(rangePath, header{"grpc-encoding", "snappy"}), data: message(1, request)}},
		{"grpc-encoding absent, message compressed", exchange{headers: usual(rangePath), data: message(1, request)}},
		{"grpc-encoding identity, message compressed", exchange{headers: usual(rangePath, header{"grpc-encoding", "identity"}), data: message(1, request)}},
		{"grpc-encoding gzip, message gzip", exchange{headers: usual(rangePath, header{"grpc-encoding", "gzip"}), data: message(1, zipped(request))}},
		{"grpc-encoding gzip, message no gzip", exchange{headers: usual(rangePath, header{"grpc-encoding", "gzip"}), data: message(1, request)}},
		{"a message flag of two", exchange{headers: usual(rangePath), data: message(2, request)}},

		{"no message", exchange{headers: usual(rangePath)}},
		{"no message and the end with the headers", exchange{headers: usual(rangePath), endEarly: true}},
		{"an empty message", exchange{headers: usual(rangePath), data: message(0, nil)}},
		{"two messages", exchange{headers: usual(rangePath), data: message(0, request, request)}},
		{"a message cut in its prefix", exchange{headers: usual(rangePath), data: proper[:3]}},
		{"a message cut in its body", exchange{headers: usual(rangePath), data: proper[:7]}},
		{"a message that declares 3 MiB", exchange{headers: usual(rangePath), data: []byte{0, 0, 0x30, 0, 0}, noEnd: true}},
		{"a message that declares 4 GiB", exchange{headers: usual(rangePath), data: []byte{0, 0xff, 0xff, 0xff, 0xff}, noEnd: true}},
		{"gzip that grows beyond the bound", exchange{headers: usual("/etcdserverpb.KV/Put", header{"grpc-encoding", "gzip"}), data: message(1, zipped(make([]byte, 64<<20)))}},
		{"trailers from the client", exchange{headers: usual(rangePath), data: proper, trailers: []header{{"x-after", "1"}}}},

		{"metadata of invalid base64", exchange{headers: usual(rangePath, header{"x-data-bin", "!!!"}), data: proper}},
		{"metadata of padded base64", exchange{headers: usual(rangePath, header{"x-data-bin", "YQ=="}), data: proper}},
		{"a reserved grpc- header", exchange{headers: usual(rangePath, header{"grpc-something", "1"}), data: proper}},
		{"a header name in upper case", exchange{headers: usual(rangePath, header{"X-Upper", "1"}), data: proper}},
		{"a header name with a space", exchange{headers: usual(rangePath, header{"x y", "1"}), data: proper}},
		{"an empty header name", exchange{headers: usual(rangePath, header{"", "1"}), data: proper}},
		{"a header value with a line feed", exchange{headers: usual(rangePath, header{"x-line", "a\nb"}), data: proper}},
		{"a connection header", exchange{headers: usual(rangePath, header{"connection", "keep-alive"}), data: proper}},
		{"no :authority", exchange{headers: usual(rangePath, header{":authority", "-"}), data: proper}},
		{"no :authority but host", exchange{headers: usual(rangePath, header{":authority", "-"}, header{"host", "localhost"}), data: proper}},
		{"no :scheme", exchange{headers: usual(rangePath, header{":scheme", "-"}), data: proper}},
		{"no :path", exchange{headers: usual(rangePath, header{":path", "-"}), data: proper}},
		{"no :method", exchange{headers: usual(rangePath, header{":method", "-"}), data: proper}},
		{"an unknown pseudo header", exchange{headers: append([]header{{":extra", "1"}}, usual(rangePath)...), data: proper}},
		{"a pseudo header after a regular one", exchange{headers: append(usual(rangePath, header{":scheme", "-"}), header{":scheme", "http"}), data: proper}},
		{"a pseudo header twice", exchange{headers: append([]header{{":path", rangePath}}, usual(rangePath)...), data: proper}},
		{"20 KiB of headers", exchange{headers: usual(rangePath, header{"x-long", strings.Repeat("a", 20<<10)}), data: proper}},

		{"client-api-version that is no UTF-8", exchange{headers: usual(rangePath, header{"client-api-version", "\xff"}), data: proper}},
		{"hasleader true", exchange{headers: usual(rangePath, header{"hasleader", "true"}), data: proper}},
		{"a token while auth is off", exchange{headers: usual(rangePath, header{"token", "abc.1"}), data: proper}},
		{"an authorization header while auth is off", exchange{headers: usual(rangePath, header{"authorization", "Bearer abc"}), data: proper}},

		{"DATA on a stream that was never opened", exchange{headers: usual(rangePath), data: proper, noEnd: true, after: func(f *http2.Framer) error {
			return f.WriteData(7, true, proper)
		}}},
		{"a PING is answered", exchange{headers: usual(rangePath), data: proper, after: func(f *http2.Framer) error {
			return f.WritePing(false, [8]byte{1, 2, 3})
		}}},
		{"WINDOW_UPDATE of zero on the connection", exchange{headers: usual(rangePath), noEnd: true, after: func(f *http2.Framer) error {
			return f.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, []byte{0, 0, 0, 0})
		}}},
		{"HEADERS on an even stream", exchange{headers: usual(rangePath), noEnd: true, after: func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2, BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
		}}},
		{"a frame beyond the maximum size", exchange{headers: usual(rangePath), noEnd: true, after: func(f *http2.Framer) error {
			return f.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<20))
		}}},
		{"a header block that is no HPACK", exchange{headers: nil, noEnd: true, after: func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true, EndStream: true})
		}}},
	}
	var cases []testCase
	for _, item := range list {
		cases = append(cases, testCase{name: item.name, run: func(endpoint string) string {
			text, err := item.exchange.run(endpoint)
			if err != nil {
				return err.Error()
			}
			return text
		}})
	}
	return cases
}

// run carries out the exchange and tells all that a client could tell apart.
func (x exchange) run(endpoint string) (string, error) {
	conn, err := net.Dial("tcp", endpoint)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(exchangeTimeout))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return "", err
	}
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	if err := framer.WriteSettings(); err != nil {
		return "", err
	}
	// The server's answers are read while the request is written, as it may give up half-way.
	result := make(chan string, 1)
	go func() { result <- listen(conn) }()
	_ = x.write(framer)
	return <-result, nil
}

func (x exchange) write(framer *http2.Framer) error {
	if x.headers != nil {
		block := encode(x.headers)
		first := block[:min(len(block), 16<<10)]
		rest := block[len(first):]
		if err := framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: first, EndHeaders: len(rest) == 0, EndStream: x.endEarly,
		}); err != nil {
			return err
		}
		for len(rest) > 0 {
			part := rest[:min(len(rest), 16<<10)]
			rest = rest[len(part):]
			if err := framer.WriteContinuation(1, len(rest) == 0, part); err != nil {
				return err
			}
		}
	}
	data := x.data
	for len(data) > 16<<10 {
		if err := framer.WriteData(1, false, data[:16<<10]); err != nil {
			return err
		}
		data = data[16<<10:]
	}
	if x.after != nil {
		if err := x.after(framer); err != nil {
			return err
		}
	}
	if x.headers == nil || x.endEarly {
		return nil
	}
	if len(data) > 0 || x.trailers == nil && !x.noEnd {
		if err := framer.WriteData(1, x.trailers == nil && !x.noEnd, data); err != nil {
			return err
		}
	}
	if x.trailers != nil {
		return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(x.trailers), EndHeaders: true, EndStream: true})
	}
	return nil
}

func encode(headers []header) []byte {
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for _, h := range headers {
		_ = encoder.WriteField(hpack.HeaderField{Name: h.name, Value: h.value})
	}
	return b.Bytes()
}

// listen reads until stream 1 ends, the connection goes away or nothing more comes.
func listen(conn net.Conn) string {
	framer := http2.NewFramer(conn, conn) // Not the writer's, whose buffer is in use meanwhile.
	framer.AllowIllegalReads = true
	framer.SetMaxReadFrameSize(1 << 20)
	var parts []string
	var block []byte
	messages := 0
	decoder := hpack.NewDecoder(4096, nil)
	pong := false
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			var timeout net.Error
			switch {
			case errors.As(err, &timeout) && timeout.Timeout():
				parts = append(parts, "no more answer")
			default:
				parts = append(parts, "connection closed")
			}
			break
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			if f.StreamID != 1 {
				continue
			}
			block = append(block, f.HeaderBlockFragment()...)
			if f.HeadersEnded() {
				parts = append(parts, showHeaders(decoder, block))
				block = nil
			}
			if f.StreamEnded() {
				parts = append(parts, "end")
			}
		case *http2.ContinuationFrame:
			block = append(block, f.HeaderBlockFragment()...)
			if f.HeadersEnded() {
				parts = append(parts, showHeaders(decoder, block))
				block = nil
			}
		case *http2.DataFrame:
			if f.StreamID == 1 {
				messages++
				if f.StreamEnded() {
					parts = append(parts, "end")
				}
			}
		case *http2.RSTStreamFrame:
			parts = append(parts, fmt.Sprintf("RST_STREAM %d %v", f.StreamID, f.ErrCode))
		case *http2.GoAwayFrame:
			parts = append(parts, fmt.Sprintf("GOAWAY %v", f.ErrCode))
		case *http2.PingFrame:
			if f.IsAck() && f.Data[0] == 1 {
				pong = true
			} else if !f.IsAck() {
				_ = framer.WritePing(true, f.Data)
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		}
		if len(parts) > 0 && (parts[len(parts)-1] == "end" || strings.HasPrefix(parts[len(parts)-1], "RST_STREAM 1 ")) {
			break
		}
	}
	if messages > 0 {
		parts = append(parts, "with a message")
	}
	if pong {
		parts = append(parts, "pong")
	}
	return strings.Join(parts, ", ")
}

// showHeaders keeps the headers that say something about the outcome.
func showHeaders(decoder *hpack.Decoder, block []byte) string {
	fields, err := decoder.DecodeFull(block)
	if err != nil {
		return "headers that cannot be decoded"
	}
	var kept []string
	for _, f := range fields {
		switch f.Name {
		case ":status", "content-type", "grpc-status", "grpc-encoding":
			kept = append(kept, f.Name+" "+f.Value)
		case "grpc-message":
			if f.Value == "" {
				continue // etcd sends an empty one with status 0.
			}
			kept = append(kept, fmt.Sprintf("grpc-message %q", strings.ReplaceAll(f.Value, "%C2%A0", " ")))
		}
	}
	return "[" + strings.Join(kept, "; ") + "]"
}
