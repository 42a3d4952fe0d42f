// State makes and describes a store's whole state, so that it can be compared before and after the server behind it was
// exchanged for another on the same data directory.
//
//	state populate --endpoint HOST:PORT --seed N --ops N [--auth]
//	state record --endpoint HOST:PORT
//
// `record` prints a line per thing that a client can see: every key, every event since the last compaction, the hash of the
// store, leases with their keys, members, alarms, users and roles.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const timeout = 30 * time.Second

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: state populate|record --endpoint HOST:PORT"))
	}
	flags := flag.NewFlagSet("state", flag.ExitOnError)
	endpoint := flags.String("endpoint", "127.0.0.1:2379", "host:port of the server")
	seed := flags.Uint64("seed", 1, "of the random operations")
	operations := flags.Int("ops", 500, "how many")
	auth := flags.Bool("auth", false, "also users, roles and permissions")
	_ = flags.Parse(os.Args[2:])
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		fail(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	switch os.Args[1] {
	case "populate":
		p := populator{client: client, random: rand.New(rand.NewPCG(*seed, 0)), seed: *seed}
		err = p.run(ctx, *operations, *auth)
	case "record":
		err = record(ctx, client)
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type populator struct {
	client *clientv3.Client
	random *rand.Rand
	seed   uint64
	leases []clientv3.LeaseID
}

func (p *populator) run(ctx context.Context, operations int, auth bool) error {
	for i := range operations {
		if err := p.step(ctx); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	if auth {
		if err := p.users(ctx); err != nil {
			return err
		}
	}
	// The newest revision is then one whose event no compaction has removed.
	_, err := p.client.Put(ctx, "last", p.value())
	return err
}

func (p *populator) key() string {
	return fmt.Sprintf("key/%02d", p.random.IntN(60))
}

func (p *populator) value() string {
	// Some cross the size of a page.
	if p.random.IntN(25) == 0 {
		return strings.Repeat("v", p.random.IntN(20_000))
	}
	return fmt.Sprintf("value-%d", p.random.Uint32())
}

func (p *populator) step(ctx context.Context) error {
	var err error
	switch n := p.random.IntN(100); {
	case n < 60:
		_, err = p.client.Put(ctx, p.key(), p.value())
	case n < 68:
		_, err = p.client.Delete(ctx, p.key())
	case n < 71:
		_, err = p.client.Delete(ctx, p.key(), clientv3.WithRange(p.key()))
	case n < 82:
		_, err = p.client.Txn(ctx).If(clientv3.Compare(clientv3.Version(p.key()), ">", 0)).
			Then(clientv3.OpPut("txn/a", p.value()), clientv3.OpDelete(p.key()), clientv3.OpPut("txn/b", "")).
			Else(clientv3.OpPut("txn/c", p.value())).Commit()
	case n < 87:
		var granted *clientv3.LeaseGrantResponse
		if granted, err = p.client.Grant(ctx, int64(1000+p.random.IntN(10_000))); err == nil {
			p.leases = append(p.leases, granted.ID)
		}
	case n < 94:
		if len(p.leases) > 0 {
			_, err = p.client.Put(ctx, p.key(), p.value(), clientv3.WithLease(p.leases[p.random.IntN(len(p.leases))]))
		}
	case n < 97:
		if len(p.leases) > 0 {
			i := p.random.IntN(len(p.leases))
			_, err = p.client.Revoke(ctx, p.leases[i])
			p.leases = append(p.leases[:i], p.leases[i+1:]...)
		}
	default:
		var head *clientv3.GetResponse
		if head, err = p.client.Get(ctx, "none"); err == nil {
			_, err = p.client.Compact(ctx, head.Header.Revision-int64(p.random.IntN(30)))
			if err == rpctypes.ErrCompacted {
				err = nil
			}
		}
	}
	return err
}

// users leaves authentication off: a server that does not enforce it refuses a store where it is on.
func (p *populator) users(ctx context.Context) error {
	for i := range 5 {
		role := fmt.Sprintf("role-%d-%d", p.seed, i)
		if _, err := p.client.RoleAdd(ctx, role); err != nil {
			return err
		}
		for range 1 + p.random.IntN(4) {
			key, kind := p.key(), clientv3.PermissionType(p.random.IntN(3))
			if _, err := p.client.RoleGrantPermission(ctx, role, key, clientv3.GetPrefixRangeEnd(key), kind); err != nil {
				return err
			}
		}
		user := fmt.Sprintf("user-%d-%d", p.seed, i)
		if _, err := p.client.UserAdd(ctx, user, "secret"); err != nil {
			return err
		}
		if _, err := p.client.UserGrantRole(ctx, user, role); err != nil {
			return err
		}
	}
	_, err := p.client.RoleDelete(ctx, fmt.Sprintf("role-%d-0", p.seed))
	return err
}

func record(ctx context.Context, client *clientv3.Client) error {
	all, err := client.Get(ctx, "\x00", clientv3.WithFromKey())
	if err != nil {
		return err
	}
	fmt.Printf("cluster %x revision %d keys %d\n", all.Header.ClusterId, all.Header.Revision, all.Count)
	for _, kv := range all.Kvs {
		fmt.Printf("key %q create %d mod %d version %d lease %x value %q\n", kv.Key, kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease, kv.Value)
	}
	for _, part := range []func(context.Context, *clientv3.Client) error{recordHashes, recordLeases, recordMembers, recordAuth} {
		if err := part(ctx, client); err != nil {
			return err
		}
	}
	return recordEvents(ctx, client, all.Header.Revision)
}

func recordHashes(ctx context.Context, client *clientv3.Client) error {
	hash, err := client.HashKV(ctx, client.Endpoints()[0], 0)
	if err != nil {
		return err
	}
	fmt.Printf("hash %x compacted %d\n", hash.Hash, hash.CompactRevision)
	alarms, err := client.AlarmList(ctx)
	if err != nil {
		return err
	}
	for _, alarm := range alarms.Alarms {
		fmt.Printf("alarm %x %s\n", alarm.MemberID, alarm.Alarm)
	}
	return nil
}

func recordLeases(ctx context.Context, client *clientv3.Client) error {
	leases, err := client.Leases(ctx)
	if err != nil {
		return err
	}
	lines := []string{}
	for _, lease := range leases.Leases {
		ttl, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
		if err != nil {
			return err
		}
		keys := []string{}
		for _, key := range ttl.Keys {
			keys = append(keys, string(key))
		}
		sort.Strings(keys)
		lines = append(lines, fmt.Sprintf("lease %x granted %d keys %q", lease.ID, ttl.GrantedTTL, keys))
	}
	printSorted(lines)
	return nil
}

func recordMembers(ctx context.Context, client *clientv3.Client) error {
	members, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range members.Members {
		fmt.Printf("member %x %q %q learner %t\n", m.ID, m.Name, m.PeerURLs, m.IsLearner)
	}
	return nil
}

// recordAuth prints one line if the server does not know users.
func recordAuth(ctx context.Context, client *clientv3.Client) error {
	users, err := client.UserList(ctx)
	if status.Code(err) == codes.Unimplemented {
		fmt.Println("auth not served")
		return nil
	}
	if err != nil {
		return err
	}
	lines := []string{}
	for _, name := range users.Users {
		user, err := client.UserGet(ctx, name)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("auth user %s %q", name, user.Roles))
	}
	roles, err := client.RoleList(ctx)
	if err != nil {
		return err
	}
	for _, name := range roles.Roles {
		role, err := client.RoleGet(ctx, name)
		if err != nil {
			return err
		}
		for _, permission := range role.Perm {
			lines = append(lines, fmt.Sprintf("auth role %s %s %q %q", name, permission.PermType, permission.Key, permission.RangeEnd))
		}
	}
	state, err := client.AuthStatus(ctx)
	if err != nil {
		return err
	}
	lines = append(lines, fmt.Sprintf("auth enabled %t revision %d", state.Enabled, state.AuthRevision))
	printSorted(lines)
	return nil
}

func recordEvents(ctx context.Context, client *clientv3.Client, head int64) error {
	if head == 1 {
		return nil // Nothing was ever written.
	}
	from := int64(1)
	for {
		next, err := recordEventsFrom(ctx, client, from, head)
		if err == rpctypes.ErrCompacted {
			from = next
			continue
		}
		return err
	}
}

// recordEventsFrom returns the revision to begin at when what it was asked for is compacted.
func recordEventsFrom(ctx context.Context, client *clientv3.Client, from, head int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := []string{}
	for response := range client.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(from), clientv3.WithPrevKV(), clientv3.WithProgressNotify()) {
		if response.CompactRevision > 0 {
			return response.CompactRevision, rpctypes.ErrCompacted
		}
		if err := response.Err(); err != nil {
			return 0, err
		}
		for _, event := range response.Events {
			lines = append(lines, fmt.Sprintf("event %s %q %d %d prev %v", event.Type, event.Kv.Key, event.Kv.ModRevision, event.Kv.Version, event.PrevKv != nil))
		}
		if n := len(response.Events); n > 0 && response.Events[n-1].Kv.ModRevision == head {
			break
		}
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return 0, ctx.Err()
}

func printSorted(lines []string) {
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}
