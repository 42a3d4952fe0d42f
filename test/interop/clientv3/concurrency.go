package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

var concurrencyChecks = []check{
	{"a mutex admits one at a time", func(ctx context.Context, c *clientv3.Client) error {
		const workers, rounds = 6, 5
		inside := 0
		results := make(chan error, workers)
		for range workers {
			go func() { results <- countInMutex(ctx, c, &inside, rounds) }()
		}
		for range workers {
			if err := <-results; err != nil {
				return err
			}
		}
		get, err := c.Get(ctx, "counter")
		if err != nil {
			return err
		}
		return expect(string(get.Kvs[0].Value) == strconv.Itoa(workers*rounds), "the counter is %s", get.Kvs[0].Value)
	}},
	{"a try-lock is refused, and an expired session loses its lock", func(ctx context.Context, c *clientv3.Client) error {
		holder, err := concurrency.NewSession(c, concurrency.WithTTL(2))
		if err != nil {
			return err
		}
		held := concurrency.NewMutex(holder, "try")
		if err := held.Lock(ctx); err != nil {
			return err
		}
		other, err := concurrency.NewSession(c, concurrency.WithTTL(60))
		if err != nil {
			return err
		}
		defer other.Close()
		wanted := concurrency.NewMutex(other, "try")
		if err := wanted.TryLock(ctx); !errors.Is(err, concurrency.ErrLocked) {
			return fmt.Errorf("try-lock gave %v", err)
		}
		holder.Orphan() // It is no longer kept alive: the lock falls to the other within the TTL.
		if err := wanted.Lock(ctx); err != nil {
			return err
		}
		return wanted.Unlock(ctx)
	}},
	{"an election passes on, and observers see it", func(ctx context.Context, c *clientv3.Client) error {
		const candidates = 3
		sessions := make([]*concurrency.Session, candidates)
		elections := make([]*concurrency.Election, candidates)
		for i := range candidates {
			session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
			if err != nil {
				return err
			}
			defer session.Close()
			sessions[i], elections[i] = session, concurrency.NewElection(session, "office")
		}
		observed, stop := context.WithCancel(ctx)
		defer stop()
		seen := concurrency.NewElection(sessions[0], "office").Observe(observed)
		elected := make(chan int, candidates)
		failures := make(chan error, candidates)
		for i := range candidates {
			go func() {
				if err := elections[i].Campaign(ctx, strconv.Itoa(i)); err != nil {
					failures <- err
					return
				}
				elected <- i
			}()
		}
		for range candidates {
			select {
			case i := <-elected:
				for {
					response := <-seen
					if len(response.Kvs) > 0 && string(response.Kvs[0].Value) == strconv.Itoa(i) {
						break
					}
				}
				if err := elections[i].Proclaim(ctx, "still "+strconv.Itoa(i)); err != nil {
					return err
				}
				leader, err := elections[i].Leader(ctx)
				if err != nil {
					return err
				}
				if err := expect(string(leader.Kvs[0].Value) == "still "+strconv.Itoa(i), "leader %v", leader); err != nil {
					return err
				}
				if err := elections[i].Resign(ctx); err != nil {
					return err
				}
			case err := <-failures:
				return err
			}
		}
		if _, err := elections[0].Leader(ctx); !errors.Is(err, concurrency.ErrElectionNoLeader) {
			return fmt.Errorf("after all resigned: %v", err)
		}
		return nil
	}},
	{"transfers in software transactional memory keep their sum", func(ctx context.Context, c *clientv3.Client) error {
		const accounts, workers, transfers = 5, 6, 25
		for i := range accounts {
			if _, err := c.Put(ctx, account(i), "100"); err != nil {
				return err
			}
		}
		results := make(chan error, workers)
		for range workers {
			go func() {
				for range transfers {
					from, to := rand.IntN(accounts), rand.IntN(accounts)
					if from == to {
						continue
					}
					_, err := concurrency.NewSTM(c, func(stm concurrency.STM) error {
						a, _ := strconv.Atoi(stm.Get(account(from)))
						b, _ := strconv.Atoi(stm.Get(account(to)))
						stm.Put(account(from), strconv.Itoa(a-1))
						stm.Put(account(to), strconv.Itoa(b+1))
						return nil
					}, concurrency.WithAbortContext(ctx), concurrency.WithIsolation(concurrency.SerializableSnapshot))
					if err != nil {
						results <- err
						return
					}
				}
				results <- nil
			}()
		}
		for range workers {
			if err := <-results; err != nil {
				return err
			}
		}
		get, err := c.Get(ctx, "account/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		sum := 0
		for _, kv := range get.Kvs {
			balance, _ := strconv.Atoi(string(kv.Value))
			sum += balance
		}
		return expect(sum == accounts*100, "the accounts hold %d", sum)
	}},
}

// countInMutex raises a counter by reading and writing it, which is only right if nobody else is inside.
func countInMutex(ctx context.Context, c *clientv3.Client, inside *int, rounds int) error {
	session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
	if err != nil {
		return err
	}
	defer session.Close()
	mutex := concurrency.NewMutex(session, "mutex")
	for range rounds {
		if err := mutex.Lock(ctx); err != nil {
			return err
		}
		*inside++
		if *inside != 1 {
			return fmt.Errorf("%d hold the lock", *inside)
		}
		get, err := c.Get(ctx, "counter")
		if err != nil {
			return err
		}
		count := 0
		if len(get.Kvs) > 0 {
			count, _ = strconv.Atoi(string(get.Kvs[0].Value))
		}
		time.Sleep(time.Millisecond)
		if _, err := c.Put(ctx, "counter", strconv.Itoa(count+1)); err != nil {
			return err
		}
		*inside--
		if err := mutex.Unlock(ctx); err != nil {
			return err
		}
	}
	return nil
}

func account(i int) string {
	return fmt.Sprintf("account/%d", i)
}
