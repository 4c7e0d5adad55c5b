// Moves files that have not changed for long to cheaper tiers, and deletes old versions. Not to the archive tier, which
// cannot be read at once. 0 days means never.

param accountName string
param container string
param coolAfterDays int
param coldAfterDays int
param versionDays int

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: accountName
}

// Each rule that is on, and what it does.
var actions = concat(
  coolAfterDays == 0
    ? []
    : [{ rule: 'cool', action: { baseBlob: { tierToCool: { daysAfterModificationGreaterThan: coolAfterDays } } } }],
  coldAfterDays == 0
    ? []
    : [{ rule: 'cold', action: { baseBlob: { tierToCold: { daysAfterModificationGreaterThan: coldAfterDays } } } }],
  [{ rule: 'versions', action: { version: { delete: { daysAfterCreationGreaterThan: versionDays } } } }]
)

resource policy 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: map(actions, one => {
        name: one.rule
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: {
            blobTypes: [
              'blockBlob'
            ]
            prefixMatch: [
              '${container}/'
            ]
          }
          actions: one.action
        }
      })
    }
  }
}
