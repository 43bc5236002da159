// The tags of a model, on one line in a list and all of them in the details.

import classes from '@/features/models/models.module.css'

/** Tags on one line; those that do not fit are cut off. */
export function Tags({ tags }: { tags: string[] }) {
  return (
    <div className={classes.tags}>
      {tags.map((tag) => (
        <bdi key={tag} className={classes.tag} title={tag}>
          {tag}
        </bdi>
      ))}
    </div>
  )
}

/** All tags, on as many lines as they need. */
export function AllTags({ tags }: { tags: string[] }) {
  return (
    <div className={classes.all}>
      <Tags tags={tags} />
    </div>
  )
}
