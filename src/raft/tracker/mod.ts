/**
 * What a leader knows of every member: how far its log is known to match, what is on its way to it, how it may be sent
 * more; and what the voters have voted. Members sit in dense slots, ascending by id.
 * It knows nothing of messages, of the log's contents, or of which configuration changes are allowed.
 *
 * Invariants
 * 1. match < next, for every member at all times.
 * 2. Exactly the members of the configuration have a progress; those among the learners, and only they, are marked so.
 * 3. A slot is valid until the next `install`; a `Progress` lives as long as its member stays in the configuration.
 * 4. What is in flight is bounded by count and by bytes (one message may go over the latter).
 *
 * Read: inflights, progress, tracker, text.
 */
export { Inflights } from "./inflights.ts";
export { Progress, ProgressState } from "./progress.ts";
export { ProgressTracker, type TrackerChange, type TrackerOptions } from "./tracker.ts";
export { configurationText, progressText, trackerText } from "./text.ts";
