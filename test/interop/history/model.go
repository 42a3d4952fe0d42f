package main

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// modelFrom is the store as porcupine knows it, beginning at a state. Every answer is checked whole: with its revision, with
// the revisions and version of what it shows.
func modelFrom(begin state) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(before, input, _ any) (bool, any) {
			s := before.(state)
			isAllowed := s.step(input.(*operation))
			return isAllowed, s
		},
		Hash: func(s any) uint64 { return uint64(s.(state).Revision) },
		DescribeOperation: func(input, _ any) string {
			return input.(*operation).String()
		},
		DescribeState: func(s any) string {
			return fmt.Sprintf("%+v", s)
		},
	}
}

// step changes the state as the operation does, and returns whether it could have had its answer there.
func (s *state) step(o *operation) bool {
	before := s.Entries[o.Key]
	switch o.Kind {
	case environment:
		return s.advance(o)
	case get:
		return o.Revision == s.Revision && o.Found[o.Key] == before
	case getAll:
		return o.Revision == s.Revision && o.Found == s.Entries
	case put:
		if o.IsKnown && o.Found[o.Key] != before {
			return false
		}
		s.put(o.Key, o)
		return s.advance(o)
	case pair:
		s.put(o.Key, o)
		s.put(o.Second, o)
		return s.advance(o)
	case swap:
		if (before.Mod == o.Expect) != o.Succeeded {
			return false
		}
		if !o.Succeeded {
			return o.Revision == s.Revision && o.Found[o.Key] == before
		}
		s.put(o.Key, o)
		return s.advance(o)
	case remove:
		isThere := before.Version > 0
		if isThere != (o.Deleted == 1) || (o.IsKnown && o.Found[o.Key] != before) {
			return false
		}
		if !isThere {
			return o.Revision == s.Revision
		}
		s.Entries[o.Key] = entry{}
		return s.advance(o)
	}
	panic("an operation of no kind")
}

func (s *state) put(key int, o *operation) {
	e := &s.Entries[key]
	if e.Version == 0 {
		e.Create = o.Revision
	}
	e.Value, e.Mod = o.Value, o.Revision
	e.Version++
}

func (s *state) advance(o *operation) bool {
	s.Revision++
	return o.Revision == s.Revision
}
