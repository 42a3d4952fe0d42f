package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	attemptTimeout = time.Second
	// How long a request may take with all its retries: several elections on a busy machine.
	requestTimeout = 20 * time.Second
	retryPause     = 30 * time.Millisecond
	keysOfWorker   = 8
)

// retry repeats an attempt until it succeeds or fails in a way that no retry helps. What fails for good is a violation.
// The value is the attempt's own.
func (r *run) retry(attempt func(ctx context.Context) (int64, error)) (int64, error) {
	value, _, err := r.retryCounting(attempt)
	return value, err
}

// retryCounting also tells how many attempts failed: what those have done is unknown.
func (r *run) retryCounting(attempt func(ctx context.Context) (int64, error)) (value int64, failures int, err error) {
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
		value, err = attempt(ctx)
		cancel()
		if err == nil || !isTransient(err) || time.Since(began) > requestTimeout {
			break
		}
		failures++
		r.mutex.Lock()
		r.verdict.Errors[err.Error()]++
		r.mutex.Unlock()
		time.Sleep(retryPause)
	}
	took := time.Since(began)
	r.mutex.Lock()
	r.verdict.Requests++
	r.verdict.Retries += failures
	r.verdict.LongestMs = max(r.verdict.LongestMs, took.Milliseconds())
	r.mutex.Unlock()
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		r.violation("a request failed after %d retries in %s: %v", failures, took.Round(time.Millisecond), err)
	}
	return value, failures, err
}

// isTransient tells what an application retries: the member is away, has no leader, or did not answer in time.
func isTransient(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	code := status.Code(err)
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		code = known.Code()
	}
	if code == codes.Unavailable || code == codes.DeadlineExceeded {
		return true
	}
	// etcd has no code for what it answers while it hands leadership over, and while it stops.
	return strings.HasSuffix(err.Error(), "raft proposal dropped") || strings.HasSuffix(err.Error(), "raft: stopped")
}

func isCompacted(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted)
}

// owned is a key that only one worker writes, so that it knows what a linearizable read must find.
type owned struct {
	key     string
	value   string // "" if the key is not there
	renewed int
}

// renew leaves a key of which an attempt may still be under way, to be applied after its successors.
func (o *owned) renew(name string) {
	o.renewed++
	o.key, o.value = fmt.Sprintf("%s/%d", name, o.renewed), ""
}

// work writes and reads keys of its own until the run is stopped.
func (r *run) work(n int, pause time.Duration) {
	keys := make([]owned, keysOfWorker)
	for i := range keys {
		keys[i].renew(fmt.Sprintf("work/%d/%d", n, i))
	}
	for i := 0; r.sleep(pause); i++ {
		k := rand.IntN(keysOfWorker)
		next := fmt.Sprintf("%d-%d", n, i)
		var failures int
		var err error
		switch dice := rand.IntN(100); {
		case dice < 55:
			failures, err = r.put(&keys[k], next)
		case dice < 75:
			failures, err = r.exchange(&keys[k], next)
		case dice < 80:
			failures, err = r.remove(&keys[k])
		default:
			err = r.read(&keys[k])
		}
		if failures > 0 || err != nil {
			keys[k].renew(fmt.Sprintf("work/%d/%d", n, k))
		}
	}
}

func (r *run) put(o *owned, next string) (int, error) {
	_, failures, err := r.retryCounting(func(ctx context.Context) (int64, error) {
		_, err := r.client.Put(ctx, o.key, next)
		return 0, err
	})
	o.value = next
	return failures, err
}

// exchange writes if the key is what it was left as; so it must be, unless an attempt that was not answered came through.
func (r *run) exchange(o *owned, next string) (int, error) {
	compare := clientv3.Compare(clientv3.Value(o.key), "=", o.value)
	if o.value == "" {
		compare = clientv3.Compare(clientv3.Version(o.key), "=", 0)
	}
	succeeded := false
	_, failures, err := r.retryCounting(func(ctx context.Context) (int64, error) {
		answer, err := r.client.Txn(ctx).If(compare).Then(clientv3.OpPut(o.key, next)).Else(clientv3.OpGet(o.key)).Commit()
		if err == nil {
			succeeded = answer.Succeeded
		}
		return 0, err
	})
	if err == nil && failures == 0 && !succeeded {
		r.violation("a transaction did not find %s at %q", o.key, o.value)
	}
	o.value = next
	return failures, err
}

func (r *run) remove(o *owned) (int, error) {
	deleted := int64(0)
	_, failures, err := r.retryCounting(func(ctx context.Context) (int64, error) {
		answer, err := r.client.Delete(ctx, o.key)
		if err == nil {
			deleted = answer.Deleted
		}
		return 0, err
	})
	if err == nil && failures == 0 && (deleted == 1) != (o.value != "") {
		r.violation("deleting %s, last %q, deleted %d", o.key, o.value, deleted)
	}
	o.value = ""
	return failures, err
}

func (r *run) read(o *owned) error {
	found := ""
	_, err := r.retry(func(ctx context.Context) (int64, error) {
		answer, err := r.client.Get(ctx, o.key)
		found = ""
		if err == nil && len(answer.Kvs) > 0 {
			found = string(answer.Kvs[0].Value)
		}
		return 0, err
	})
	if err == nil && found != o.value {
		r.violation("a linearizable read found %s at %q; %q was acknowledged", o.key, found, o.value)
	}
	return err
}
