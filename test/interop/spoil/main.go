// Spoil changes the newest value in the database of a member that is not running, as a disk would that lies.
//
//	spoil DATABASE
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"google.golang.org/protobuf/proto"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("usage: spoil DATABASE"))
	}
	database, err := bolt.Open(os.Args[1], 0o600, nil)
	if err != nil {
		fail(err)
	}
	err = database.Update(func(transaction *bolt.Tx) error {
		bucket := transaction.Bucket([]byte("key"))
		cursor := bucket.Cursor()
		// A tombstone's key is longer by one; it has no value.
		key, value := cursor.Last()
		for key != nil && len(key) != 17 {
			key, value = cursor.Prev()
		}
		if key == nil {
			return errors.New("there is no value to spoil")
		}
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return err
		}
		kv.Value = append(kv.Value, '!')
		spoiled, err := proto.Marshal(&kv)
		if err != nil {
			return err
		}
		return bucket.Put(slices.Clone(key), spoiled)
	})
	if err != nil {
		fail(err)
	}
	if err := database.Close(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
