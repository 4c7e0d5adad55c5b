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

var files = {
  blobTypes: [
    'blockBlob'
  ]
  prefixMatch: [
    '${container}/'
  ]
}

var coolRules = coolAfterDays == 0 ? [] : [
  {
    name: 'cool'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: files
      actions: {
        baseBlob: {
          tierToCool: {
            daysAfterModificationGreaterThan: coolAfterDays
          }
        }
      }
    }
  }
]

var coldRules = coldAfterDays == 0 ? [] : [
  {
    name: 'cold'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: files
      actions: {
        baseBlob: {
          tierToCold: {
            daysAfterModificationGreaterThan: coldAfterDays
          }
        }
      }
    }
  }
]

var versionRules = [
  {
    name: 'versions'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: files
      actions: {
        version: {
          delete: {
            daysAfterCreationGreaterThan: versionDays
          }
        }
      }
    }
  }
]

resource policy 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: concat(coolRules, coldRules, versionRules)
    }
  }
}
