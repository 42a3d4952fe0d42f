/** The seeded bugs: exact replacements in the sources. One that no longer applies has to follow what it was made for. */

export interface Mutation {
  readonly name: string;
  readonly replacements: readonly Replacement[];
}

export interface Replacement {
  readonly file: string;
  /** Occurs once in the file. */
  readonly before: string;
  readonly after: string;
}

export const MUTATIONS: readonly Mutation[] = [];
