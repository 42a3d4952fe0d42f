package main

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// registers are the clients whose requests porcupine judges.
type registers struct {
	*run
	clients []*registerClient
	group   sync.WaitGroup
}

// registerClient sends one request after the other, to all members or always to the same.
type registerClient struct {
	number  int
	client  *clientv3.Client
	random  *rand.Rand
	seen    [registerCount]int64 // The mod revision last seen of each register.
	history []*operation
}

func (r *run) startRegisters() *registers {
	all := &registers{run: r}
	for i := range r.clients {
		endpoints := r.endpoints
		if i%2 == 1 {
			endpoints = endpoints[i/2%len(endpoints):][:1]
		}
		c := &registerClient{number: i, client: r.connect(endpoints...), random: r.random(i)}
		all.clients = append(all.clients, c)
		all.group.Go(func() {
			defer c.client.Close()
			for !r.isStopped() {
				c.step(r)
				time.Sleep(time.Duration(c.random.Int63n(2*int64(r.pause) + 1)))
			}
		})
	}
	return all
}

func (all *registers) wait() {
	all.group.Wait()
}

func (all *registers) operations() []*operation {
	var operations []*operation
	for _, c := range all.clients {
		operations = append(operations, c.history...)
	}
	return operations
}

func (c *registerClient) step(r *run) {
	o := c.choose()
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	o.Call = r.now()
	err := c.send(ctx, o)
	o.Return = r.now()
	if err != nil {
		o.IsKnown, o.Return, o.Error = false, never, err.Error()
	} else {
		o.IsKnown = true
		c.learn(o)
	}
	c.history = append(c.history, o)
}

func (c *registerClient) choose() *operation {
	key := c.random.Intn(registerCount)
	o := &operation{Client: c.number, Key: key, Value: fmt.Sprintf("%d.%d", c.number, len(c.history))}
	switch die := c.random.Intn(100); {
	case die < 25:
		o.Kind = put
	case die < 50:
		o.Kind, o.Expect = swap, c.seen[key]
	case die < 60:
		o.Kind, o.Second = pair, (key+1+c.random.Intn(registerCount-1))%registerCount
	case die < 65:
		o.Kind = remove
	case die < 90:
		o.Kind = get
	default:
		o.Kind = getAll
	}
	return o
}

func (c *registerClient) send(ctx context.Context, o *operation) error {
	name := registerName(o.Key)
	switch o.Kind {
	case put:
		answer, err := c.client.Put(ctx, name, o.Value, clientv3.WithPrevKV())
		if err != nil {
			return err
		}
		o.Revision = answer.Header.Revision
		if answer.PrevKv != nil {
			o.Found[o.Key] = entryOf(answer.PrevKv)
		}
	case remove:
		answer, err := c.client.Delete(ctx, name, clientv3.WithPrevKV())
		if err != nil {
			return err
		}
		o.Revision, o.Deleted, o.Found = answer.Header.Revision, answer.Deleted, entriesOf(answer.PrevKvs)
	case get:
		answer, err := c.client.Get(ctx, name)
		if err != nil {
			return err
		}
		o.Revision, o.Found = answer.Header.Revision, entriesOf(answer.Kvs)
	case getAll:
		answer, err := c.client.Get(ctx, "/r/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		o.Revision, o.Found = answer.Header.Revision, entriesOf(answer.Kvs)
	case swap:
		answer, err := c.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(name), "=", o.Expect)).
			Then(clientv3.OpPut(name, o.Value)).
			Else(clientv3.OpGet(name)).Commit()
		if err != nil {
			return err
		}
		o.Revision, o.Succeeded = answer.Header.Revision, answer.Succeeded
		if !answer.Succeeded {
			o.Found = entriesOf(answer.Responses[0].GetResponseRange().Kvs)
		}
	case pair:
		second := registerName(o.Second)
		answer, err := c.client.Txn(ctx).Then(clientv3.OpPut(name, o.Value), clientv3.OpPut(second, o.Value)).Commit()
		if err != nil {
			return err
		}
		o.Revision = answer.Header.Revision
	}
	return nil
}

// learn keeps what a later swap may expect.
func (c *registerClient) learn(o *operation) {
	switch o.Kind {
	case getAll:
		for key, e := range o.Found {
			c.seen[key] = e.Mod
		}
	case get:
		c.seen[o.Key] = o.Found[o.Key].Mod
	case swap:
		c.seen[o.Key] = o.Found[o.Key].Mod
		if o.Succeeded {
			c.seen[o.Key] = o.Revision
		}
	case put:
		c.seen[o.Key] = o.Revision
	case pair:
		c.seen[o.Key], c.seen[o.Second] = o.Revision, o.Revision
	case remove:
		c.seen[o.Key] = 0
	}
}
