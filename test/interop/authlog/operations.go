package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	userNames = []string{"root", "ann", "bob", "c<&>\"d", "\u00fcml\u00e4ut", "\uffee", "\U0001f600"}
	passwords = []string{"one", "two"}
	// The first one is never deleted, and gets most permissions: Go sorts long lists in another way than short ones.
	roleNames   = []string{"long", "r1", "r2", "\uffee", "\U0001f600", "root"}
	permissions = []clientv3.PermissionType{clientv3.PermissionType(clientv3.PermRead), clientv3.PermissionType(clientv3.PermWrite), clientv3.PermissionType(clientv3.PermReadWrite)}
)

func pick[T any](random *rand.Rand, from []T) T {
	return from[random.IntN(len(from))]
}

// changeAccess performs one operation on users or roles.
func (w *worker) changeAccess(ctx context.Context) {
	user, password := pick(w.random, userNames), pick(w.random, passwords)
	role := w.role()
	c := w.client
	switch w.random.IntN(24) {
	case 0, 1, 2:
		w.count(c.UserAdd(ctx, user, password))
	case 3:
		options := &clientv3.UserAddOptions{NoPassword: w.random.IntN(2) == 0}
		w.count(c.UserAddWithOptions(ctx, user, password, options))
	case 4:
		w.count(c.UserDelete(ctx, user))
	case 5:
		// That of root is needed to go on.
		if user != "root" {
			w.count(c.UserChangePassword(ctx, user, password))
		}
	case 6, 7, 8:
		w.count(c.UserGrantRole(ctx, user, role))
	case 9:
		w.count(c.UserRevokeRole(ctx, user, role))
	case 10, 11:
		w.count(c.RoleAdd(ctx, role))
	case 12:
		if role != roleNames[0] {
			w.count(c.RoleDelete(ctx, role))
		}
	case 13, 14, 15, 16, 17, 18, 19:
		key, end := w.permissionRange()
		w.count(c.RoleGrantPermission(ctx, role, key, end, pick(w.random, permissions)))
	case 20:
		key, end := w.permissionRange()
		w.count(c.RoleRevokePermission(ctx, role, key, end))
	case 21:
		w.count(c.UserGet(ctx, user))
		w.count(c.RoleGet(ctx, role))
	case 22:
		w.count(c.UserList(ctx))
		w.count(c.RoleList(ctx))
	case 23:
		w.count(c.AuthStatus(ctx))
	}
}

func (w *worker) role() string {
	if w.random.IntN(3) == 0 {
		return roleNames[0]
	}
	return pick(w.random, roleNames)
}

// permissionRange gives many ranges of few keys, some of them empty.
func (w *worker) permissionRange() (key, end string) {
	key = fmt.Sprintf("k%02d", w.random.IntN(6)*5)
	switch w.random.IntN(5) {
	case 0:
		return key, ""
	case 1:
		return key, "\x00"
	default:
		return key, fmt.Sprintf("k%02d", w.random.IntN(40))
	}
}

func (w *worker) key() string {
	return fmt.Sprintf("k%02d", w.random.IntN(40))
}

// changeKeys performs one operation on keys, leases or alarms.
func (w *worker) changeKeys(ctx context.Context) {
	c := w.client
	switch w.random.IntN(16) {
	case 0, 1, 2, 3, 4:
		w.count(c.Put(ctx, w.key(), w.value(), w.putOptions()...))
	case 5:
		w.count(c.Delete(ctx, w.key(), clientv3.WithPrevKV()))
	case 6:
		w.count(c.Delete(ctx, w.key(), clientv3.WithRange(w.key())))
	case 7, 8, 9:
		w.count(w.txn(ctx).Commit())
	case 10:
		w.grantLease(ctx)
	case 11:
		if len(w.leases) > 0 {
			w.count(c.Revoke(ctx, pick(w.random, w.leases)))
		}
	case 12:
		w.compact(ctx)
	case 13:
		w.count(c.Put(ctx, w.key(), "", clientv3.WithIgnoreValue()))
	case 14:
		w.count(c.Put(ctx, w.key(), w.value(), clientv3.WithIgnoreLease()))
	case 15:
		if w.random.IntN(6) == 0 && !(w.isEnabled && w.separateAlarms) {
			w.alarm(ctx)
		}
	}
}

func (w *worker) value() string {
	return strings.Repeat("v", w.random.IntN(300))
}

func (w *worker) putOptions() []clientv3.OpOption {
	var options []clientv3.OpOption
	if len(w.leases) > 0 && w.random.IntN(3) == 0 {
		options = append(options, clientv3.WithLease(pick(w.random, w.leases)))
	}
	if w.random.IntN(4) == 0 {
		options = append(options, clientv3.WithPrevKV())
	}
	return options
}

func (w *worker) txn(ctx context.Context) clientv3.Txn {
	nested := clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpDelete(w.key())}, nil)
	return w.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(w.key()), ">", int64(w.random.IntN(3)))).
		Then(clientv3.OpPut(w.key(), w.value(), w.putOptions()...), clientv3.OpGet(w.key())).
		Else(nested)
}

func (w *worker) grantLease(ctx context.Context) {
	ttl := int64(100 + w.random.IntN(1000))
	if w.random.IntN(8) == 0 {
		ttl = 1 // Raised to the minimum, and over before the run is.
	}
	response, err := w.client.Grant(ctx, ttl)
	w.count(response, err)
	if err == nil {
		w.leases = append(w.leases, response.ID)
	}
}

// compact goes to one of the last revisions, and is finished when it returns.
func (w *worker) compact(ctx context.Context) {
	response, err := w.client.Get(ctx, "k00")
	if err != nil {
		return
	}
	revision := response.Header.Revision - int64(w.random.IntN(60))
	w.count(w.client.Compact(ctx, revision, clientv3.WithCompactPhysical()))
}
