package main

import (
	"context"
	"sync"
	"time"
)

const (
	compactionInterval = 700 * time.Millisecond
	// So many revisions stay behind what every watch has seen.
	compactionDistance = 200
)

// compactions give up old history now and then, never what a watch has still to see.
type compactions struct {
	group sync.WaitGroup
	count int
}

func (r *run) startCompactions(first int64, all *watches) *compactions {
	c := &compactions{}
	c.group.Go(func() {
		client := r.connect(r.endpoints...)
		defer client.Close()
		latest := first
		for !r.isStopped() {
			time.Sleep(compactionInterval)
			target := all.slowest() - compactionDistance
			if target <= latest {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
			if _, err := client.Compact(ctx, target); err == nil {
				latest = target
				c.count++
			}
			cancel()
		}
	})
	return c
}

func (c *compactions) wait() {
	c.group.Wait()
}
