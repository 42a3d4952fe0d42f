// Authlog makes one etcd write every kind of entry into its log that changes more than keys: users, roles and permissions,
// with access control on and off, leases, alarms, members and versions, and keys in between. Refused requests are as good
// as others: what an entry does not do has to be known as well.
//
//	authlog --endpoint HOST:PORT --seed N --ops N [--leave-enabled] [--downgrade-to VERSION] [--separate-alarms]
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/metadata"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	runTimeout   = 4 * time.Minute
	rootPassword = "root's"
	// Users at work at the same time as the administrator, so that permissions change while their requests are under way.
	concurrentUsers = 3
	// Longer than the intervals at which etcd looks whether its version changed.
	versionDelay = 6 * time.Second
)

func main() {
	endpoint := flag.String("endpoint", "127.0.0.1:2379", "host:port of the server")
	seed := flag.Uint64("seed", 1, "of the random operations")
	operations := flag.Int("ops", 1000, "how many")
	leaveEnabled := flag.Bool("leave-enabled", false, "access control stays on at the end")
	downgradeTo := flag.String("downgrade-to", "", "a version that the cluster sets out for, and comes back from")
	separateAlarms := flag.Bool("separate-alarms", false, "no alarms while access control is on: etcd 3.5 forgets it meanwhile")
	flag.Parse()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{*endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
		// Tokens of users that were deleted meanwhile are sent again and again otherwise.
		MaxUnaryRetries: 1,
	})
	if err != nil {
		fail(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	r := run{client: client, seed: *seed, separateAlarms: *separateAlarms}
	if err := r.all(ctx, *operations, *leaveEnabled, *downgradeTo); err != nil {
		fail(err)
	}
	fmt.Printf("%d accepted, %d refused\n", r.accepted, r.refused)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "authlog:", err)
	os.Exit(1)
}

type run struct {
	client         *clientv3.Client
	seed           uint64
	separateAlarms bool
	isEnabled      bool

	mutex             sync.Mutex
	accepted, refused int
}

// worker performs operations of its own, on behalf of one user or another.
type worker struct {
	*run
	client *clientv3.Client
	random *rand.Rand
	leases []clientv3.LeaseID
}

func (r *run) worker(number uint64) *worker {
	return &worker{run: r, client: r.client, random: rand.New(rand.NewPCG(r.seed, number))}
}

func (r *run) all(ctx context.Context, operations int, leaveEnabled bool, downgradeTo string) error {
	admin := r.worker(0)
	share := operations / 4
	admin.administer(ctx, share)
	if err := r.enable(ctx); err != nil {
		return err
	}
	if err := r.underAccessControl(ctx, admin, 2*share); err != nil {
		return err
	}
	root, err := r.login(ctx, "root", rootPassword)
	if err != nil {
		return err
	}
	if _, err := r.client.AuthDisable(root); err != nil {
		return fmt.Errorf("disable: %w", err)
	}
	r.isEnabled = false
	admin.administer(ctx, share)
	admin.members(ctx)
	if downgradeTo != "" {
		r.downgradeAndBack(ctx, downgradeTo)
	}
	if !leaveEnabled {
		return nil
	}
	if err := r.enable(ctx); err != nil {
		return err
	}
	return r.underAccessControl(ctx, admin, share)
}

// enable turns access control on, with a root user that was made for it.
func (r *run) enable(ctx context.Context) error {
	_, _ = r.client.UserDelete(ctx, "root")
	if _, err := r.client.UserAdd(ctx, "root", rootPassword); err != nil {
		return fmt.Errorf("add root: %w", err)
	}
	r.count(r.client.AuthEnable(ctx)) // Refused: the user does not have the role.
	if _, err := r.client.UserGrantRole(ctx, "root", "root"); err != nil {
		return fmt.Errorf("grant root: %w", err)
	}
	// Puts without an alarm in the way.
	_, _ = r.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	_, err := r.client.AuthEnable(ctx)
	r.isEnabled = true
	return err
}

func (r *run) underAccessControl(ctx context.Context, admin *worker, operations int) error {
	root, err := r.login(ctx, "root", rootPassword)
	if err != nil {
		return err
	}
	var users sync.WaitGroup
	for number := range uint64(concurrentUsers) {
		users.Go(func() { r.worker(number+1).use(ctx, operations/concurrentUsers) })
	}
	admin.administer(root, operations)
	users.Wait()
	return nil
}

// login gives a context whose requests are made on behalf of the user.
func (r *run) login(ctx context.Context, user, password string) (context.Context, error) {
	response, err := r.client.Authenticate(ctx, user, password)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", user, err)
	}
	return metadata.AppendToOutgoingContext(ctx, "token", response.Token), nil
}

// downgradeAndBack gives the leader time to change the version. etcd 3.5 does as it is told and never answers.
func (r *run) downgradeAndBack(ctx context.Context, version string) {
	for _, action := range []clientv3.DowngradeAction{clientv3.DowngradeEnable, clientv3.DowngradeCancel} {
		r.count(r.client.Downgrade(ctx, action, version))
		time.Sleep(versionDelay)
	}
}

// count takes what a call returned.
func (r *run) count(_ any, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err == nil {
		r.accepted++
	} else {
		r.refused++
	}
}

// administer performs operations of every kind, on behalf of whom the context says.
func (w *worker) administer(ctx context.Context, operations int) {
	for range operations {
		if w.random.IntN(3) == 0 {
			w.changeKeys(ctx)
		} else {
			w.changeAccess(ctx)
		}
	}
}

// use changes keys on behalf of one user after the other, some of whom are gone, or never were, or may not.
func (w *worker) use(ctx context.Context, operations int) {
	user := ctx
	for i := range operations {
		if i%20 == 0 {
			user = ctx
			name := pick(w.random, userNames)
			for _, password := range passwords {
				if loggedIn, err := w.login(ctx, name, password); err == nil {
					user = loggedIn
					break
				}
			}
		}
		w.changeKeys(user)
	}
}

// members adds learners that nobody ever starts, and removes them again.
func (w *worker) members(ctx context.Context) {
	for i := range 4 {
		url := fmt.Sprintf("http://127.0.0.1:%d", 1000+i/2)
		response, err := w.client.MemberAddAsLearner(ctx, []string{url})
		w.count(response, err)
		if err != nil {
			continue
		}
		w.count(w.client.MemberAddAsLearner(ctx, []string{url}))
		w.count(w.client.MemberAddAsLearner(ctx, []string{url, "http://127.0.0.1:2000"})) // An URL that is taken.
		w.count(w.client.MemberAddAsLearner(ctx, []string{"http://127.0.0.1:2000"}))      // One learner too many.
		id := response.Member.ID
		w.count(w.client.MemberUpdate(ctx, id, []string{url, "http://127.0.0.1:3000"}))
		if i < 3 {
			w.count(w.client.MemberRemove(ctx, id))
			w.count(w.client.MemberRemove(ctx, id))
			w.count(w.client.MemberUpdate(ctx, id, []string{url}))
		}
	}
	w.count(w.client.MemberRemove(ctx, 12345))
}

func (w *worker) alarm(ctx context.Context) {
	request := &pb.AlarmRequest{
		Action:   pick(w.random, []pb.AlarmRequest_AlarmAction{pb.AlarmRequest_GET, pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_ACTIVATE}),
		MemberID: uint64(w.random.IntN(3)) * 0x123456789abcdef1,
		Alarm:    pick(w.random, []pb.AlarmType{pb.AlarmType_NONE, pb.AlarmType_NOSPACE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT}),
	}
	w.count(pb.NewMaintenanceClient(w.client.ActiveConnection()).Alarm(ctx, request))
	// Alarms refuse most of what comes after them; they are few, and short.
	for range 5 {
		w.changeKeys(ctx)
	}
	for _, kind := range []pb.AlarmType{pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT} {
		for member := range 3 {
			if w.random.IntN(8) > 0 {
				request := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: uint64(member) * 0x123456789abcdef1, Alarm: kind}
				w.count(pb.NewMaintenanceClient(w.client.ActiveConnection()).Alarm(ctx, request))
			}
		}
	}
}
