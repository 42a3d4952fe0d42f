module keelson.test/bolt-1.3

go 1.26

tool keelson.test/bolt

require go.etcd.io/bbolt v1.3.12 // indirect

require keelson.test/bolt v0.0.0 // indirect

require golang.org/x/sys v0.4.0 // indirect

replace keelson.test/bolt => ../bolt
