package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// server is one process and its data directory. Both servers are told the same name, token and advertised URLs, so that
// member and cluster ids, which are hashes of those, are equal too.
type server struct {
	label    string
	command  string
	data     string
	logPath  string
	client   int
	peer     int
	process  *exec.Cmd
	exited   chan struct{}
	shared   []string
	endpoint string
}

func newServer(label, command, directory string, client, peer int, shared []string) *server {
	return &server{
		label: label, command: command, client: client, peer: peer, shared: shared,
		data:     filepath.Join(directory, label+".etcd"),
		logPath:  filepath.Join(directory, label+".log"),
		endpoint: fmt.Sprintf("127.0.0.1:%d", client),
	}
}

func (s *server) wipe() error {
	if err := os.RemoveAll(s.data); err != nil {
		return err
	}
	return os.RemoveAll(s.logPath)
}

// start runs the command and returns once the server answers a Status.
func (s *server) start() error {
	words := strings.Fields(s.command)
	arguments := append(words[1:],
		"--name", "interop", "--data-dir", s.data, "--log-level", "warn",
		"--listen-client-urls", fmt.Sprintf("http://127.0.0.1:%d", s.client),
		"--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", s.peer))
	arguments = append(arguments, s.shared...)
	log, err := os.OpenFile(s.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(words[0], arguments...)
	s.process.Stdout, s.process.Stderr = log, log
	// A group of its own, so that a launcher script and the server it starts die together.
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("%s does not start: %w", s.label, err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(process *exec.Cmd) {
		_ = process.Wait()
		close(exited)
	}(s.process)

	conn, err := grpc.NewClient(s.endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline := time.Now().Add(startTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s exited while starting (%v)", s.label, s.process.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		conn.ResetConnectBackoff()
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer on %s: %w", s.label, s.endpoint, err)
		}
	}
}

func (s *server) signal(signal syscall.Signal) error {
	if s.process == nil || s.process.Process == nil {
		return nil
	}
	_ = syscall.Kill(-s.process.Process.Pid, signal)
	select {
	case <-s.exited:
		s.process = nil
		return nil
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
		<-s.exited
		s.process = nil
		return fmt.Errorf("%s did not stop within %s of %v", s.label, stopTimeout, signal)
	}
}

func (s *server) logTail() string {
	text, err := os.ReadFile(s.logPath)
	if err != nil || len(text) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	lines = lines[max(0, len(lines)-25):]
	return fmt.Sprintf("--- last lines of %s's log\n%s\n", s.label, bytes.Join(lines, []byte("\n")))
}

// pair is both servers with their connections.
type pair struct {
	servers [2]*server
	sides   [2]*side
}

// REFERENCE and SUBJECT index everything that exists twice.
const (
	REFERENCE = 0
	SUBJECT   = 1
)

func startPair(o options) (*pair, error) {
	shared := []string{
		"--advertise-client-urls", fmt.Sprintf("http://127.0.0.1:%d", o.port+8),
		"--initial-advertise-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", o.port+9),
		"--initial-cluster", fmt.Sprintf("interop=http://127.0.0.1:%d", o.port+9),
	}
	p := &pair{servers: [2]*server{
		newServer("etcd", o.reference, o.directory, o.port, o.port+1, shared),
		newServer("subject", o.subject, o.directory, o.port+2, o.port+3, shared),
	}}
	for _, s := range p.servers {
		if err := s.wipe(); err != nil {
			return p, err
		}
	}
	return p, p.start()
}

func (p *pair) start() error {
	if err := p.both(func(i int) error { return p.servers[i].start() }); err != nil {
		return err
	}
	return p.both(func(i int) (err error) {
		p.sides[i], err = newSide(p.servers[i])
		return err
	})
}

// both runs the same thing on both servers at once and returns the first error.
func (p *pair) both(do func(i int) error) error {
	var wait sync.WaitGroup
	var errs [2]error
	for i := range errs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			errs[i] = do(i)
		}()
	}
	wait.Wait()
	if errs[REFERENCE] != nil {
		return errs[REFERENCE]
	}
	return errs[SUBJECT]
}

func (p *pair) restart(signal syscall.Signal) error {
	p.closeSides()
	if err := p.both(func(i int) error { return p.servers[i].signal(signal) }); err != nil {
		return err
	}
	return p.start()
}

func (p *pair) closeSides() {
	for i, s := range p.sides {
		if s != nil {
			s.close()
		}
		p.sides[i] = nil
	}
}

func (p *pair) stop() {
	p.closeSides()
	_ = p.both(func(i int) error { return p.servers[i].signal(syscall.SIGKILL) })
}

func (p *pair) logTails() string {
	return p.servers[REFERENCE].logTail() + p.servers[SUBJECT].logTail()
}
