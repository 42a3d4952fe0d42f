package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	// Registered for their descriptors.
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

const callTimeout = 20 * time.Second

// answer is what a server said to one request: a message, or a status.
type answer struct {
	message proto.Message
	code    uint32
	text    string
}

// side is one server's connection and streams.
type side struct {
	server    *server
	conn      *grpc.ClientConn
	keepAlive pb.Lease_LeaseKeepAliveClient
	streams   map[int]*watchStream
	cancel    context.CancelFunc
	context   context.Context
}

func newSide(s *server) (*side, error) {
	conn, err := grpc.NewClient(s.endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithReadBufferSize(256<<10), grpc.WithWriteBufferSize(64<<10))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &side{server: s, conn: conn, streams: map[int]*watchStream{}, context: ctx, cancel: cancel}, nil
}

func (s *side) close() {
	s.cancel()
	_ = s.conn.Close()
}

// call makes a unary or server-streaming call by its path; a stream's messages are merged into one, as etcd defines
// RangeStream's chunks.
func (s *side) call(path string, request proto.Message) answer {
	method, err := findMethod(path)
	if err != nil {
		return answer{code: math.MaxUint32, text: err.Error()}
	}
	ctx, cancel := context.WithTimeout(s.context, callTimeout)
	defer cancel()
	response := newMessage(method.Output())
	if !method.IsStreamingServer() {
		if err := s.conn.Invoke(ctx, path, request, response); err != nil {
			return failed(err)
		}
		return answer{message: response}
	}
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return failed(err)
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return failed(err)
	}
	if err := stream.CloseSend(); err != nil {
		return failed(err)
	}
	for {
		chunk := newMessage(method.Output())
		err := stream.RecvMsg(chunk)
		if errors.Is(err, io.EOF) {
			return answer{message: response}
		}
		if err != nil {
			return failed(err)
		}
		proto.Merge(response, chunk)
		if strings.HasSuffix(path, "/Observe") {
			return answer{message: response} // It goes on for ever; its first message is the answer.
		}
	}
}

// renew sends one request on the side's lease keep-alive stream and waits for its one response.
func (s *side) renew(request *pb.LeaseKeepAliveRequest) answer {
	if s.keepAlive == nil {
		stream, err := pb.NewLeaseClient(s.conn).LeaseKeepAlive(s.context)
		if err != nil {
			return failed(err)
		}
		s.keepAlive = stream
	}
	if err := s.keepAlive.Send(request); err != nil {
		s.keepAlive = nil
		return failed(err)
	}
	response, err := s.keepAlive.Recv()
	if err != nil {
		s.keepAlive = nil
		return failed(err)
	}
	return answer{message: response}
}

func failed(err error) answer {
	s := status.Convert(err)
	return answer{code: uint32(s.Code()), text: s.Message()}
}

func findMethod(path string) (protoreflect.MethodDescriptor, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("no method %s: %w", path, err)
	}
	return descriptor.(protoreflect.MethodDescriptor), nil
}

func newMessage(descriptor protoreflect.MessageDescriptor) proto.Message {
	messageType, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		panic(err)
	}
	return messageType.New().Interface()
}
