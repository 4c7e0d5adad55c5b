// The platform's own logs of the storage accounts and the app, sent to the workspace. The URLs of table operations
// hold keys of the index, which contain patients' names and IDs: they are logged only where everything is.

param workspaceId string
param accountNames string[]
param appName string
param everything bool

var changes = [
  {
    category: 'StorageWrite'
    enabled: true
  }
  {
    category: 'StorageDelete'
    enabled: true
  }
]

var operations = concat(changes, [
  {
    category: 'StorageRead'
    enabled: true
  }
])

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = [
  for accountName in accountNames: {
    name: '${accountName}/default'
  }
]

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' existing = [
  for accountName in accountNames: {
    name: '${accountName}/default'
  }
]

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = [
  for accountName in accountNames: {
    name: '${accountName}/default'
  }
]

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

// The newest version that allows several settings of a resource, by name, is a preview.
#disable-next-line use-recent-api-versions
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = [
  for (accountName, index) in accountNames: {
    name: 'blobs-of-${accountName}'
    scope: blobs[index]
    properties: {
      workspaceId: workspaceId
      logs: everything ? operations : changes
    }
  }
]

#disable-next-line use-recent-api-versions
resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = [
  for (accountName, index) in accountNames: if (everything) {
    name: 'tables-of-${accountName}'
    scope: tables[index]
    properties: {
      workspaceId: workspaceId
      logs: operations
    }
  }
]

// Without reads: the platform looks into the queues all the time.
#disable-next-line use-recent-api-versions
resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = [
  for (accountName, index) in accountNames: if (everything) {
    name: 'queues-of-${accountName}'
    scope: queues[index]
    properties: {
      workspaceId: workspaceId
      logs: changes
    }
  }
]

#disable-next-line use-recent-api-versions
resource appLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (everything) {
  name: 'app'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}
