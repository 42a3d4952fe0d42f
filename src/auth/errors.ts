/** Why an operation on users and roles had no effect, or an operation is not allowed. Texts are the api's. */
export type AuthError =
  | "root_user_not_exist"
  | "root_role_not_exist"
  | "user_exists"
  | "user_empty"
  | "user_not_found"
  | "role_exists"
  | "role_empty"
  | "role_not_found"
  | "role_not_granted"
  | "permission_not_given"
  | "permission_not_granted"
  | "permission_denied"
  | "auth_failed"
  | "no_password_user"
  | "auth_not_enabled"
  | "auth_old_revision"
  | "invalid_auth_management";

/** A value of the database that is not what etcd writes there. */
export class AuthRecordError extends Error {
  constructor(bucket: string, key: string, reason: string) {
    super(`bucket ${bucket} of the database holds an unreadable value under the key ${JSON.stringify(key)}: ${reason}`);
    this.name = "AuthRecordError";
  }
}
