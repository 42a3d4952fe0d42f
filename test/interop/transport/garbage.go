package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "go.etcd.io/etcd/api/v3/etcdserverpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	_ "google.golang.org/grpc/health/grpc_health_v1"
)

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*(v.(*[]byte)) = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

var _ encoding.CodecV2 = rawCodec{}

var services = []string{
	"etcdserverpb.KV", "etcdserverpb.Watch", "etcdserverpb.Lease", "etcdserverpb.Cluster", "etcdserverpb.Maintenance",
	"etcdserverpb.Auth", "v3lockpb.Lock", "v3electionpb.Election", "grpc.health.v1.Health",
}

// garbage are request bytes that no protobuf parser may accept.
var garbage = []struct {
	name string
	data []byte
}{
	{"a varint without end", []byte{0x08, 0xff, 0xff}},
	{"a varint of eleven bytes", []byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
	{"a length beyond the end", []byte{0x0a, 0x7f, 'a'}},
	{"field number zero", []byte{0x02, 0x01, 'a'}},
	{"wire type seven", []byte{0x0f, 0x00}},
	{"an end of a group that was not begun", []byte{0x0c}},
	{"a group without end", []byte{0xa3, 0x1f, 0x08, 0x01}},
	{"text", []byte("this is not protobuf at all")},
}

func garbageCases() []testCase {
	var cases []testCase
	for _, name := range services {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			panic(err)
		}
		methods := descriptor.(protoreflect.ServiceDescriptor).Methods()
		for i := range methods.Len() {
			method := methods.Get(i)
			path := fmt.Sprintf("/%s/%s", name, method.Name())
			for _, g := range garbage {
				cases = append(cases, testCase{
					name: path + ": " + g.name, method: path,
					run: func(endpoint string) string { return rawCall(endpoint, path, g.data, method.IsStreamingServer()) },
				})
			}
		}
	}
	cases = append(cases,
		testCase{"KV/Txn nested 200 deep", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Txn", nestedTxn(200), false)
		}},
		testCase{"KV/Txn nested 6000 deep", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Txn", nestedTxn(6000), false)
		}},
		testCase{"KV/Put of 1 byte beyond the receive bound", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Put", make([]byte, 2097153), false)
		}},
		testCase{"Auth/UserAdd with a name that is no UTF-8", "/etcdserverpb.Auth/UserAdd", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.Auth/UserAdd", []byte{0x0a, 0x02, 0xc3, 0x28}, false)
		}},
		testCase{"KV/Range with unknown fields and groups", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Range", []byte{0x0a, 0x01, 'k', 0xa3, 0x1f, 0x08, 0x01, 0xa4, 0x1f, 0xfa, 0x3f, 0x01, 'x'}, false)
		}},
		testCase{"KV/Range with key twice, of which the last counts", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Range", []byte{0x0a, 0x01, 'k', 0x0a, 0x00}, false)
		}},
		testCase{"KV/Range with key as a varint", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Range", []byte{0x08, 0x01}, false)
		}},
		testCase{"KV/Range with a bool of two", "", func(endpoint string) string {
			return rawCall(endpoint, "/etcdserverpb.KV/Range", []byte{0x0a, 0x01, 'k', 0x48, 0x02}, false)
		}},
	)
	return cases
}

// nestedTxn is a transaction whose only operation is a transaction, and so on.
func nestedTxn(depth int) []byte {
	var inner []byte
	for range depth {
		inner = prefixed(0x12, prefixed(0x22, inner))
	}
	return inner
}

func prefixed(tag byte, data []byte) []byte {
	out := []byte{tag}
	for n := len(data); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, data...)
}

// rawCall makes a call with the given bytes as its request and tells its status; of an answer, only that there was one,
// except that RPCs without state answer the same bytes.
func rawCall(endpoint, path string, data []byte, streaming bool) string {
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path)
	if err != nil {
		return describe(err)
	}
	if err := stream.SendMsg(data); err != nil && !errors.Is(err, io.EOF) {
		return describe(err)
	}
	_ = stream.CloseSend()
	answers := 0
	for {
		var answer []byte
		err := stream.RecvMsg(&answer)
		if errors.Is(err, io.EOF) {
			return fmt.Sprintf("grpc-status 0, %d messages", answers)
		}
		if err != nil {
			return describe(err)
		}
		answers++
		if streaming && answers > 3 {
			return "grpc-status 0, a stream"
		}
	}
}

func describe(err error) string {
	s := status.Convert(err)
	// Go's protobuf puts a no-break space into its texts in some builds, on purpose.
	return fmt.Sprintf("grpc-status %d %q", s.Code(), strings.ReplaceAll(s.Message(), "\u00a0", " "))
}
