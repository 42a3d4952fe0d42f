// Bolt writes database files with bbolt, and prints what is in them. It is built with several versions of bbolt.
//
//	bolt write PATH SEED TRANSACTIONS PAGE-SIZE (list|no-list)   makes a file by random transactions, then prints it
//	bolt dump PATH                                              checks a file and prints it
//
// A file that exists is written on. Printed is one line for each problem that bbolt's check finds, each bucket (its path, in
// hex, and its sequence) and each row (path of the bucket, key, size and CRC-32C of the value).
package main

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"math/rand"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "dump" {
		return dump(args[1])
	}
	if len(args) != 6 || args[0] != "write" {
		return fmt.Errorf("usage: bolt write PATH SEED TRANSACTIONS PAGE-SIZE list|no-list, or bolt dump PATH")
	}
	seed, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	transactions, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	pageSize, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	if err := write(args[1], seed, transactions, pageSize, args[5] == "no-list"); err != nil {
		return err
	}
	return dump(args[1])
}

func dump(path string) error {
	db, err := bolt.Open(path, 0600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	return db.View(func(tx *bolt.Tx) error {
		for problem := range tx.Check() {
			fmt.Fprintf(out, "problem: %s\n", problem)
		}
		return tx.ForEach(func(name []byte, bucket *bolt.Bucket) error {
			return dumpBucket(out, fmt.Sprintf("%x", name), bucket)
		})
	})
}

func dumpBucket(out *bufio.Writer, path string, bucket *bolt.Bucket) error {
	fmt.Fprintf(out, "%s %d\n", path, bucket.Sequence())
	table := crc32.MakeTable(crc32.Castagnoli)
	return bucket.ForEach(func(key, value []byte) error {
		if nested := bucket.Bucket(key); nested != nil {
			return dumpBucket(out, fmt.Sprintf("%s/%x", path, key), nested)
		}
		fmt.Fprintf(out, "%s %x %d %08x\n", path, key, len(value), crc32.Checksum(value, table))
		return nil
	})
}

type writer struct {
	random *rand.Rand
	// Keys that are somewhere in the file, to be found again.
	keys [][]byte
}

func write(path string, seed int64, transactions, pageSize int, noList bool) error {
	w := &writer{random: rand.New(rand.NewSource(seed))}
	for i := 0; i < transactions; {
		lists := bolt.FreelistArrayType
		if w.random.Intn(2) == 0 {
			lists = bolt.FreelistMapType
		}
		db, err := bolt.Open(path, 0600, &bolt.Options{
			PageSize: pageSize, NoFreelistSync: noList, FreelistType: lists, NoSync: true,
		})
		if err != nil {
			return err
		}
		// Opened again now and then, so that what is free is found out from the file.
		for until := i + 1 + w.random.Intn(10); i < until && i < transactions; i++ {
			if err := w.transaction(db); err != nil {
				return err
			}
		}
		if err := db.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) transaction(db *bolt.DB) error {
	tx, err := db.Begin(true)
	if err != nil {
		return err
	}
	for n := w.random.Intn(4); n >= 0; n-- {
		name := []byte(fmt.Sprintf("bucket-%d", w.random.Intn(6)))
		if w.random.Intn(12) == 0 {
			_ = tx.DeleteBucket(name)
			continue
		}
		bucket, err := tx.CreateBucketIfNotExists(name)
		if err != nil {
			return err
		}
		bucket.FillPercent = 0.2 + 0.8*w.random.Float64()
		if err := w.change(bucket, 0); err != nil {
			return err
		}
	}
	if w.random.Intn(8) == 0 {
		return tx.Rollback()
	}
	return tx.Commit()
}

func (w *writer) change(bucket *bolt.Bucket, depth int) error {
	switch w.random.Intn(6) {
	case 0:
		name := []byte(fmt.Sprintf("nested-%d", w.random.Intn(4)))
		if depth == 3 {
			return nil
		}
		nested, err := bucket.CreateBucketIfNotExists(name)
		if err != nil {
			return err
		}
		if err := nested.SetSequence(w.random.Uint64()); err != nil {
			return err
		}
		return w.change(nested, depth+1)
	case 1:
		for n := w.random.Intn(len(w.keys) + 1); n > 0; n-- {
			// An error means that it is a bucket.
			_ = bucket.Delete(w.keys[w.random.Intn(len(w.keys))])
		}
		return nil
	}
	for n := w.random.Intn([]int{3, 20, 200}[w.random.Intn(3)]) + 1; n > 0; n-- {
		key := w.key()
		if err := bucket.Put(key, w.bytes(w.valueSize())); err != nil {
			return err
		}
		w.keys = append(w.keys, key)
	}
	return nil
}

func (w *writer) key() []byte {
	if len(w.keys) > 0 && w.random.Intn(4) == 0 {
		return w.keys[w.random.Intn(len(w.keys))]
	}
	size := 1 + w.random.Intn(30)
	if w.random.Intn(200) == 0 {
		size = 1 + w.random.Intn(5000)
	}
	return w.bytes(size)
}

func (w *writer) valueSize() int {
	switch w.random.Intn(60) {
	case 0:
		return w.random.Intn(100_000)
	case 1, 2, 3:
		return w.random.Intn(6000)
	default:
		return w.random.Intn(150)
	}
}

func (w *writer) bytes(size int) []byte {
	value := make([]byte, size)
	w.random.Read(value)
	return value
}
