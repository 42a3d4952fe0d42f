package main

import (
	"fmt"
	"time"
)

// shrinkTime bounds the search: every attempt starts both servers anew.
const shrinkTime = 5 * time.Minute

// shrink looks for a shorter sequence that still shows a difference, by leaving out ever smaller parts (delta debugging).
func shrink(o options, steps []*step, path string) {
	o.shrink, o.verbose, o.keepGoing = false, false, 0
	deadline := time.Now().Add(shrinkTime)
	differs := func(candidate []*step) (int, bool) {
		result := runOnce(o, candidate, "")
		return result.operations, result.err == nil && len(result.differences) > 0
	}
	for parts := 2; len(steps) > 1 && time.Now().Before(deadline); {
		size := max(1, len(steps)/parts)
		removed := false
		// From the end, because what came last is the least likely to be needed, except the last step itself.
		for to := len(steps) - 1; to > 0 && time.Now().Before(deadline); to -= size {
			from := max(0, to-size)
			candidate := append(append([]*step{}, steps[:from]...), steps[to:]...)
			if used, ok := differs(candidate); ok {
				steps = candidate[:min(len(candidate), used)]
				removed = true
				fmt.Printf("shrunk to %d steps\n", len(steps))
				to = min(to, len(steps))
			}
		}
		if !removed {
			if size == 1 {
				break
			}
			parts *= 2
		}
	}
	if err := writeSteps(path, steps); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("the shortest sequence found has %d steps, in %s\n", len(steps), path)
	if len(steps) <= 20 {
		for _, s := range steps {
			fmt.Printf("  %s\n", cut(s.String()))
		}
	}
}
