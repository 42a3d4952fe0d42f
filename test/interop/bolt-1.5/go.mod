module keelson.test/bolt-1.5

go 1.26

tool keelson.test/bolt

require go.etcd.io/bbolt v1.5.0 // indirect

require keelson.test/bolt v0.0.0 // indirect

require golang.org/x/sys v0.45.0 // indirect

replace keelson.test/bolt => ../bolt
