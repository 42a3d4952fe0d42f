package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Streams of the light client: odd numbers, the watch first.
const (
	watchStreamID = 1
	windowSize    = 1 << 30
	// The client's receive buffers, as a library's would be, so that the server sees windows open step by step.
	streamWindow = 1 << 20
)

// largeRangeCommand fills the store with large values and reads them all at once, again and again, on the connection on
// which a watch is open, while the watched key is put at a fixed rate from elsewhere. It speaks HTTP/2 itself and throws
// the range's bytes away, so that what it measures is the server's delay and not its own work.
func largeRangeCommand(arguments []string) (result, error) {
	flags, endpoint := newFlags("large-range")
	megabytes := flags.Int("megabytes", 100, "size of the range")
	duration := flags.Duration("duration", 10*time.Second, "how long to go on")
	rate := flags.Int("rate", 200, "puts per second of the watched key")
	_ = flags.Parse(arguments)

	conn, err := dial(*endpoint)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	value := make([]byte, 100_000)
	for i := range *megabytes * 10 {
		if _, err := kv.Put(context.Background(), &pb.PutRequest{Key: fmt.Appendf(nil, "large/%06d", i), Value: value}); err != nil {
			return result{}, err
		}
	}

	client, err := newLightClient(*endpoint)
	if err != nil {
		return result{}, err
	}
	defer client.conn.Close()
	failures := make(chan error, 1)
	go func() { failures <- client.read() }()
	watch := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("beside")}}}
	if err := client.open(watchStreamID, "/etcdserverpb.Watch/Watch", watch, false); err != nil {
		return result{}, err
	}
	<-client.created

	stop := time.After(*duration)
	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	defer ticker.Stop()
	ranges := 0
	stream := uint32(watchStreamID + 2)
	request := &pb.RangeRequest{Key: []byte("large/"), RangeEnd: []byte("large0")}
	if err := client.open(stream, "/etcdserverpb.KV/Range", request, true); err != nil {
		return result{}, err
	}
	began := time.Now()
	var puts sync.WaitGroup
	for running := true; running; {
		select {
		case <-ticker.C:
			puts.Go(func() {
				stamp := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
				_, _ = kv.Put(context.Background(), &pb.PutRequest{Key: []byte("beside"), Value: stamp})
			})
		case received := <-client.ranged:
			if received < *megabytes*1_000_000 {
				return result{}, fmt.Errorf("a range of %d bytes, of %d MB", received, *megabytes)
			}
			ranges++
			stream += 2
			if err := client.open(stream, "/etcdserverpb.KV/Range", request, true); err != nil {
				return result{}, err
			}
		case err := <-failures:
			return result{}, err
		case <-stop:
			running = false
		}
	}
	puts.Wait()
	time.Sleep(200 * time.Millisecond)
	elapsed := time.Since(began)
	client.mutex.Lock()
	defer client.mutex.Unlock()
	r := summarize(client.latencies, elapsed, 0)
	r.Extra = ranges
	return r, nil
}

// lightClient is as much of an HTTP/2 and gRPC client as this takes.
type lightClient struct {
	conn    net.Conn
	framer  *http2.Framer
	writing sync.Mutex
	created chan struct{}
	ranged  chan int // the size of each range that has ended

	mutex     sync.Mutex
	latencies []time.Duration
}

func newLightClient(endpoint string) (*lightClient, error) {
	conn, err := net.Dial("tcp", endpoint)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	c := &lightClient{conn: conn, framer: http2.NewFramer(conn, conn), created: make(chan struct{}), ranged: make(chan int, 1)}
	c.framer.SetReuseFrames()
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow}); err != nil {
		return nil, err
	}
	return c, c.framer.WriteWindowUpdate(0, windowSize)
}

func (c *lightClient) open(stream uint32, path string, request proto.Message, end bool) error {
	payload, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "localhost"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: true}) // Kept out of the dynamic table.
	}
	message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload)))
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return c.framer.WriteData(stream, end, append(message, payload...))
}

// read takes the watch's messages apart and counts everything else.
func (c *lightClient) read() error {
	var pending []byte
	received, credit := 0, 0
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		now := time.Now().UnixNano()
		switch f := frame.(type) {
		case *http2.DataFrame:
			size := len(f.Data())
			if f.StreamID == watchStreamID {
				pending = append(pending, f.Data()...)
				if pending, err = c.takeEvents(pending, now); err != nil {
					return err
				}
			} else {
				received += size
			}
			credit += size
			if err := c.grant(f.StreamID, size, &credit, f.StreamEnded()); err != nil {
				return err
			}
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				if f.StreamID == watchStreamID {
					return errors.New("the watch ended")
				}
				c.ranged <- received
				received = 0
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.locked(func() error { return c.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.locked(func() error { return c.framer.WritePing(true, f.Data) })
			}
		case *http2.RSTStreamFrame:
			return fmt.Errorf("stream %d was reset: %v", f.StreamID, f.ErrCode)
		case *http2.GoAwayFrame:
			return fmt.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		}
		if err != nil {
			return err
		}
	}
}

func (c *lightClient) grant(stream uint32, size int, credit *int, ended bool) error {
	return c.locked(func() error {
		if !ended && size > 0 {
			if err := c.framer.WriteWindowUpdate(stream, uint32(size)); err != nil {
				return err
			}
		}
		if *credit < windowSize/4 {
			return nil
		}
		increment := uint32(*credit)
		*credit = 0
		return c.framer.WriteWindowUpdate(0, increment)
	})
}

func (c *lightClient) locked(write func() error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return write()
}

// takeEvents handles the whole messages at the front of what arrived and returns the rest.
func (c *lightClient) takeEvents(data []byte, now int64) ([]byte, error) {
	for len(data) >= 5 {
		size := int(binary.BigEndian.Uint32(data[1:5]))
		if len(data) < 5+size {
			break
		}
		var response pb.WatchResponse
		if err := proto.Unmarshal(data[5:5+size], &response); err != nil {
			return nil, err
		}
		data = data[5+size:]
		if response.Created {
			close(c.created)
		}
		c.mutex.Lock()
		for _, event := range response.Events {
			if len(event.Kv.Value) == 8 {
				c.latencies = append(c.latencies, time.Duration(now-int64(binary.BigEndian.Uint64(event.Kv.Value))))
			}
		}
		c.mutex.Unlock()
	}
	return data, nil
}
