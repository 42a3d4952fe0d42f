/** The versions this program speaks for. */

/** What clients, tools and other members are told: the etcd release whose behaviour this is. */
export const ETCD_VERSION = "3.7.1";

/** The version a cluster of such members agrees on: the patch release does not count. */
export const CLUSTER_VERSION = "3.7.0";

/** The version of the database file's schema. */
export const STORAGE_VERSION = "3.7.0";

export const KEELSON_VERSION = "0.1.0";
