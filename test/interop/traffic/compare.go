package main

import (
	"context"
	"flag"
	"fmt"
	"sort"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// description is what all members must have in common.
type description struct {
	hash      uint32
	compacted int64
	members   string
}

func compareCommand(arguments []string) error {
	flags := flag.NewFlagSet("compare", flag.ExitOnError)
	endpoints := flags.String("endpoints", "", "the members")
	timeout := flags.Duration("timeout", 20*time.Second, "how long to wait for all to agree")
	_ = flags.Parse(arguments)
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	clients := map[string]*clientv3.Client{}
	for _, endpoint := range split(*endpoints) {
		client, err := newClient(endpoint)
		if err != nil {
			return err
		}
		defer client.Close()
		clients[endpoint] = client
	}
	for {
		revision, descriptions, err := describeAll(ctx, split(*endpoints), clients)
		if err == nil {
			if err = compare(descriptions); err == nil {
				first := descriptions[split(*endpoints)[0]]
				fmt.Printf("hash %08x at revision %d, compacted %d, members %s\n", first.hash, revision, first.compacted, first.members)
				return nil
			}
			// Two hashes of one revision over one compaction never become equal.
			if strings.HasPrefix(err.Error(), "hash") {
				return fmt.Errorf("at revision %d: %w", revision, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not equal after %s: %w", *timeout, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func describeAll(ctx context.Context, endpoints []string, clients map[string]*clientv3.Client) (int64, map[string]description, error) {
	head := int64(0)
	for _, endpoint := range endpoints {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		answer, err := clients[endpoint].Get(attempt, "none")
		cancel()
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", endpoint, err)
		}
		head = max(head, answer.Header.Revision)
	}
	descriptions := map[string]description{}
	for _, endpoint := range endpoints {
		d, err := describe(ctx, endpoint, clients[endpoint], head)
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", endpoint, err)
		}
		descriptions[endpoint] = d
	}
	return head, descriptions, nil
}

func describe(ctx context.Context, endpoint string, client *clientv3.Client, revision int64) (description, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	// Linearizable, so that this member has applied the revision.
	if _, err := client.Get(ctx, "none"); err != nil {
		return description{}, err
	}
	hash, err := client.HashKV(ctx, endpoint, revision)
	if err != nil {
		return description{}, err
	}
	list, err := client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return description{}, err
	}
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		return description{}, err
	}
	if len(status.Errors) > 0 {
		return description{}, fmt.Errorf("has errors: %v", status.Errors)
	}
	lines := []string{}
	for _, m := range list.Members {
		lines = append(lines, fmt.Sprintf("%x %s %v %v learner=%t", m.ID, m.Name, m.PeerURLs, m.ClientURLs, m.IsLearner))
	}
	sort.Strings(lines)
	return description{hash: hash.Hash, compacted: hash.CompactRevision, members: strings.Join(lines, "; ")}, nil
}

// compare tells the first difference. Compactions and lists of members may be on their way; hashes may not differ.
func compare(descriptions map[string]description) error {
	endpoints := []string{}
	for endpoint := range descriptions {
		endpoints = append(endpoints, endpoint)
	}
	sort.Strings(endpoints)
	one := descriptions[endpoints[0]]
	for _, endpoint := range endpoints[1:] {
		other := descriptions[endpoint]
		switch {
		case one.compacted != other.compacted:
			return fmt.Errorf("compacted up to %d at %s, %d at %s", one.compacted, endpoints[0], other.compacted, endpoint)
		case one.members != other.members:
			return fmt.Errorf("members at %s: %s\nmembers at %s: %s", endpoints[0], one.members, endpoint, other.members)
		case one.hash != other.hash:
			return fmt.Errorf("hash %08x at %s, %08x at %s", one.hash, endpoints[0], other.hash, endpoint)
		}
	}
	return nil
}
